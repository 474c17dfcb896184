"""The miniature study, run to its end: what it leaves, what it says, and that it can be run again.

It is run twice, in two folders, from two copies of the workflow: once as `make demo` runs a study,
its jobs forked from a warm process; and once by Snakemake alone, killed in the middle, started
again, and only its last part warm. Every file must be the same in both, byte for byte.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import re
import signal
import struct
import subprocess
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from running import (
    Finished,
    Job,
    command,
    copy_workflow,
    environment,
    options,
    plan,
    read_config,
    snakemake,
)

from layerscope import catalogue
from layerscope.core.files import sha256_file
from layerscope.run_records.content import ENDING

pytestmark = pytest.mark.xdist_group("miniature")

TASKS = ("hpo-nli", "hpo-ner")
MODELS = {"minilm": 6, "gpt-tiny": 2}  # layers
TUNED = ("f50-s1", "f50-s2")
VARIANTS = ("pretrained", "random", *TUNED)
BASELINES = {
    "hpo-nli": {"majority", "bag-of-words", "premise-only", "hypothesis-only"},
    "hpo-ner": {"majority", "bag-of-words"},
}
VIEWS = {"hpo-nli": ("separate", "joint", "joint-last"), "hpo-ner": ("word",)}

#: The fixed columns of the tables.
COLUMNS = {
    "scores": "task model architecture domain variant percent seed metric value low high",
    "probes": "task model variant percent seed probe view layer depth metric value",
    "attention": "task model variant percent seed layer head measure value low high",
    "confusion": "task model variant percent seed label predicted count",
    "heads": "task model variant percent seed layer head jsd jsd_low jsd_high"
    " ceiling ceiling_low ceiling_high null null_sentence moved moved_low moved_high rank"
    " entropy entropy_before distance distance_before special special_before first first_before",
    "similarity": "task model variant percent seed view layer depth measure value",
    "weight_change": "task model variant percent seed layer depth matrices measure value",
    "models": "task variant percent seed view model other layer other_layer depth value",
    "differences": "task percent metric model other value low high p holm groups",
    "entry": "task model variant percent seed probe view metric measure value depth",
    "evaluation": "task model variant percent seed measure label bin value low high n",
    "interventions": "task model variant percent seed intervention layer depth share draw metric"
    " value change",
    "pretraining": "model corpus objective step metric value",
}
ASSOCIATION = ["task", "inner measure", "metric", "statistic", "value", "low", "high", "n"]
FIGURES = [
    figure.stem.format(task=task)
    for figure in catalogue.FIGURES
    if figure.needs != "references"
    for task in (TASKS if figure.by_task else [None])
]

#: What Snakemake makes alone of the second run, after the kill: scores and probes of one model.
PART = (
    "results/miniature/scores/hpo-nli/gpt-tiny.json",
    "results/miniature/probes/hpo-ner/gpt-tiny/f50-s2/bilstm-crf.parquet",
)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def results(finished: Finished) -> Path:
    return finished.folder / "results" / "miniature"


def _rows(results: Path, table: str) -> list[Row]:
    rows: list[Row] = pq.read_table(results / "tables" / f"{table}.parquet").to_pylist()
    return rows


# --- what is there -------------------------------------------------------------------------------


def test_every_file_of_the_plan_is_there_and_no_other(finished: Finished) -> None:
    """No partial, hidden or forgotten files; a log and a benchmark for each job."""
    outputs = {output for job in finished.everything for output in job.outputs}
    files = {
        path.relative_to(finished.folder)
        for top in ("results", "resources")
        for path in (finished.folder / top).rglob("*")
        if path.is_file() and path.name != ".snakemake_timestamp"  # Snakemake's own, in folders
    }
    assert {output for output in outputs if not (finished.folder / output).exists()} == set()
    unknown = {
        str(path)
        for path in files
        if outputs.isdisjoint({str(path), *map(str, path.parents)})
        and "benchmarks" not in path.parts
        and not path.name.endswith(ENDING)
    }
    assert unknown == set()
    assert [str(path) for path in files if path.name.startswith(".")] == []
    assert [str(path) for path in files if (finished.folder / path).stat().st_size == 0] == []
    jobs = len(finished.everything) - 1
    assert len([path for path in files if "benchmarks" in path.parts]) == jobs
    assert len(list(finished.folder.glob("logs/**/*.log"))) == jobs


def test_progress_is_shown(finished: Finished) -> None:
    jobs = len(finished.everything)
    assert f"{jobs} of {jobs} steps (100%) done" in finished.output


def test_the_configuration_is_kept(results: Path, finished: Finished) -> None:
    kept = json.loads((results / "config.json").read_text(encoding="utf-8"))
    given = read_config(finished.config)
    assert kept["study"] == "miniature"
    assert kept["variants"] == given["variants"]
    assert kept["finetuning"]["nli"]["epochs"] == given["finetuning"]["nli"]["epochs"]
    assert kept["statistics"]["confidence"] == 0.95  # a default


# --- figures -------------------------------------------------------------------------------------


def test_figures(results: Path) -> None:
    names = {path.name for path in (results / "figures").iterdir()}
    endings = ("svg", "pdf", "png", f"svg{ENDING}")
    assert names == {f"{name}.{ending}" for name in FIGURES for ending in endings}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_opens(name: str, results: Path) -> None:
    svg = ElementTree.parse(results / "figures" / f"{name}.svg").getroot()  # noqa: S314
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}path"))) > 10
    png = (results / "figures" / f"{name}.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert width > 500
    assert height > 300
    pdf = (results / "figures" / f"{name}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [*COLUMNS, "association"])
def test_columns_are_the_fixed_ones(table: str, results: Path) -> None:
    expected = ASSOCIATION if table == "association" else COLUMNS[table].split()
    stored = pq.read_table(results / "tables" / f"{table}.parquet")
    assert stored.column_names == expected
    assert stored.num_rows > 0
    with (results / "tables" / f"{table}.csv").open(encoding="utf-8", newline="") as handle:
        lines = list(csv.reader(handle))
    assert lines[0] == expected
    assert len(lines) == 1 + stored.num_rows


def test_tables_are_all(results: Path) -> None:
    names = {path.name for path in (results / "tables").iterdir()}
    tables = (*COLUMNS, "association", "association-points")
    files = {f"{name}.{ending}" for name in tables for ending in ("parquet", "csv")}
    # One job makes scores and confusion, one the association and its points; each has one record.
    further = ("confusion", "association-points")
    records = {f"{name}.parquet{ENDING}" for name in tables if name not in further}
    assert names == files | records


def _distinct(rows: list[Row], *columns: str) -> set[tuple[Any, ...]]:
    return {tuple(row[column] for column in columns) for row in rows}


def test_scores_of_every_model_and_baseline(results: Path) -> None:
    """Of fine-tuned variants alone: the head of a model that is not fine-tuned is untrained."""
    rows = _rows(results, "scores")
    assert _distinct(rows, "task", "model") == {
        (task, name) for task in TASKS for name in {*MODELS, *BASELINES[task]}
    }
    of_models = [row for row in rows if row["model"] in MODELS]
    assert _distinct(of_models, "variant", "percent", "seed") >= {
        ("f50-s1", 50, 1),
        ("f50-s2", 50, 2),
    }
    assert {row["percent"] for row in rows} == {50}
    for row in rows:
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1, row
    metrics = {task: {row["metric"] for row in rows if row["task"] == task} for task in TASKS}
    assert metrics["hpo-nli"] >= {"accuracy", "macro_f1"}
    assert metrics["hpo-ner"] >= {"entity_f1", "token_macro_f1"}


def test_scores_agree_with_the_predictions(results: Path) -> None:
    for model in MODELS:
        for variant in TUNED:
            table = pq.read_table(
                results / "predictions" / "hpo-nli" / model / f"{variant}.parquet"
            )
            right = pc.mean(pc.cast(pc.equal(table["label"], table["predicted"]), pa.float64()))
            rows = [
                row
                for row in _rows(results, "scores")
                if (row["task"], row["model"], row["variant"]) == ("hpo-nli", model, variant)
                and row["metric"] == "accuracy"
            ]
            assert [row["value"] for row in rows] == [pytest.approx(right.as_py())]


def test_confusion_counts_every_test_example(results: Path) -> None:
    test = pq.read_table(results / "data" / "hpo-nli" / "test.parquet").num_rows
    rows = [row for row in _rows(results, "confusion") if row["task"] == "hpo-nli"]
    for model in MODELS:
        for variant in TUNED:
            counts = [
                row["count"] for row in rows if (row["model"], row["variant"]) == (model, variant)
            ]
            assert len(counts) == 9
            assert sum(counts) == test


def test_probes_of_every_layer_of_every_variant(results: Path, finished: Finished) -> None:
    rows = _rows(results, "probes")
    config = read_config(finished.config)
    expected = {
        (task, model, variant, probe, layer)
        for task in TASKS
        for model, layers in MODELS.items()
        for variant in VARIANTS
        for probe in config["tasks"][task]["probes"]
        for layer in range(layers + 1)
    }
    assert _distinct(rows, "task", "model", "variant", "probe", "layer") == expected
    for task in TASKS:
        views = {row["view"] for row in rows if row["task"] == task}
        assert views >= set(VIEWS[task])
    for row in rows:
        assert row["depth"] == pytest.approx(row["layer"] / MODELS[row["model"]])
        low = -1 if "selectivity" in row["metric"] else 0
        unbounded = row["metric"] == "code_length" or "compression" in row["metric"]
        assert low <= row["value"] <= (math.inf if unbounded else 1), row


def test_similarity_of_every_layer_of_every_variant_and_pair_of_models(results: Path) -> None:
    rows = _rows(results, "similarity")
    expected = {
        (task, model, variant, view, layer)
        for task in TASKS
        for model, layers in MODELS.items()
        for variant in VARIANTS
        for view in VIEWS[task]
        for layer in range(layers + 1)
    }
    assert _distinct(rows, "task", "model", "variant", "view", "layer") == expected
    for row in rows:
        assert -1.2 <= row["value"] <= 1.2, row  # unbiased estimates pass the bounds a little
    compared = {row["variant"] for row in rows if row["measure"] == "cka"}
    assert compared == set(VARIANTS) - {"pretrained"}
    models = _rows(results, "models")
    assert _distinct(models, "model", "other") == {tuple(sorted(MODELS))}
    assert _distinct(models, "task", "variant") == {
        (task, variant) for task in TASKS for variant in ("pretrained", "f50-s1", "f50-s2")
    }


def test_attention_of_every_head_of_every_variant(results: Path) -> None:
    rows = _rows(results, "attention")
    heads = {"minilm": 12, "gpt-tiny": 2}
    expected = {
        (task, model, variant, layer, head)
        for task in TASKS
        for model, layers in MODELS.items()
        for variant in VARIANTS
        for layer in range(1, layers + 1)
        for head in range(heads[model])
    }
    assert _distinct(rows, "task", "model", "variant", "layer", "head") == expected
    for row in rows:
        assert row["low"] <= row["high"], row
        if "cosine" in row["measure"]:
            assert -1 - 1e-6 <= row["value"] <= 1 + 1e-6, row
        elif "jsd" in row["measure"] or "divergence" in row["measure"]:
            assert -1e-6 <= row["value"] <= 1 + 1e-6, row
        else:
            assert row["value"] >= 0, row
    of_tuned = {row["measure"] for row in rows if row["variant"] in TUNED}
    assert any("cosine" in measure for measure in of_tuned)
    # Without fine-tuning there is nothing to compare with.
    untuned = {row["measure"] for row in rows if row["variant"] == "pretrained"}
    assert untuned
    assert not any("cosine" in measure for measure in untuned)


def test_every_head_has_its_rank_and_its_place_between_seeds_and_other_heads(
    results: Path,
) -> None:
    rows = _rows(results, "heads")
    for task, model, variant in itertools.product(TASKS, MODELS, TUNED):
        of_one = [
            row
            for row in rows
            if (row["task"], row["model"], row["variant"]) == (task, model, variant)
        ]
        assert sorted(row["rank"] for row in of_one) == list(range(1, len(of_one) + 1))
        most = min(of_one, key=lambda row: row["rank"])
        assert most["jsd"] == max(row["jsd"] for row in of_one)
    for row in rows:
        assert (
            row["moved"] is None or 0 <= row["moved_low"] <= row["moved"] <= row["moved_high"] <= 1
        )
        for share in ("special", "first"):
            assert 0 <= row[share] <= 1, row


def test_interventions_of_every_tuned_model_start_from_its_score(results: Path) -> None:
    rows = _rows(results, "interventions")
    scores = {
        (row["task"], row["model"], row["variant"], row["metric"]): row["value"]
        for row in _rows(results, "scores")
    }
    untouched = [row for row in rows if row["intervention"] == "none"]
    assert _distinct(untouched, "task", "model", "variant") == {
        *itertools.product(TASKS, MODELS, TUNED)
    }
    for row in untouched:
        known = (row["task"], row["model"], row["variant"], row["metric"])
        assert (row["value"], row["change"]) == (scores[known], 0), row
    for name in ("erased", "erased-control"):
        chosen = [row for row in rows if row["intervention"] == name]
        assert _distinct(chosen, "task", "model", "variant", "layer") == {
            (task, model, variant, layer)
            for task, variant in itertools.product(TASKS, TUNED)
            for model, layers in MODELS.items()
            for layer in range(1, layers + 1)
        }
    assert _distinct(rows, "intervention", "share") >= {
        ("heads-most", 50), ("heads-least", 50), ("heads-random", 50)
    }  # fmt: skip


def test_the_evaluation_counts_each_entity_once_and_words_for_calibration(results: Path) -> None:
    rows = [row for row in _rows(results, "evaluation") if row["seed"] is not None]
    words = pq.read_table(
        results / "predictions" / "hpo-ner" / "minilm" / "f50-s1.parquet"
    ).num_rows
    assert {row["n"] for row in rows if (row["task"], row["measure"]) == ("hpo-ner", "ece")} == {
        words
    }
    bins = [row for row in rows if row["measure"] == "bin_accuracy"]
    assert bins
    for task, model, variant in itertools.product(TASKS, MODELS, TUNED):
        own = [
            row
            for row in bins
            if (row["task"], row["model"], row["variant"]) == (task, model, variant)
        ]
        assert sum(row["n"] for row in own) == (24 if task == "hpo-nli" else words)


def test_association_of_both_tasks(results: Path) -> None:
    rows = _rows(results, "association")
    assert {row["task"] for row in rows} == set(TASKS)
    correlations = [row for row in rows if row["statistic"] == "spearman"]
    assert correlations
    for row in correlations:
        for column in ("value", "low", "high"):
            assert row[column] is None or -1 <= row[column] <= 1, row
        assert (row["value"] is None) or row["n"] > 2, row
    # A point is a fine-tuned variant.
    assert max(row["n"] for row in correlations) == len(MODELS) * len(TUNED)
    assert any(row["value"] is not None for row in correlations)


def test_pretraining_of_the_model_that_is_made_here(results: Path) -> None:
    rows = _rows(results, "pretraining")
    assert {row["model"] for row in rows} == {"gpt-tiny"}
    assert {row["step"] for row in rows} >= {0, 4}
    for row in rows:
        assert row["value"] > 0


# --- the report ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Made without a network: the environment's proxies lead nowhere."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    result = snakemake(finished.workflow, finished.folder, *options(finished), "--report", path)
    assert result.returncode == 0, result.stdout
    assert "Missing metadata" not in result.stdout
    return path.read_text(encoding="utf-8")


def _embedded(report: str, name: str) -> Any:
    """The value of a variable of the report's script."""
    start = f"var {name} = {{"
    value, _ = json.JSONDecoder().raw_decode(report[report.index(start) + len(start) - 1 :])
    return value


def test_the_report_has_every_figure_with_caption_category_and_labels(report: str) -> None:
    figures = _embedded(report, "results")
    prefix = "results/miniature/figures/"
    assert set(figures) == {
        *(f"{prefix}{name}.svg" for name in FIGURES),
        "results/miniature/explorer.html",
        "results/miniature/summary.md",
    }
    for page in ("explorer.html", "summary.md"):
        assert figures.pop(f"results/miniature/{page}")["labels"]["figure"]
    categories = _embedded(report, "categories")
    for path, figure in figures.items():
        name = Path(path).stem
        assert len(re.sub(r"<[^>]*>", "", figure["caption"]).split()) > 10, path
        assert "{{" not in figure["caption"], path
        assert figure["labels"]["figure"], path
        task = next((task for task in TASKS if name.endswith(task)), None)
        assert figure["labels"].get("task") == task, path
        assert figure["data_uri"].startswith("data:image/svg+xml"), path
    assert set(categories) == {
        "Summary",
        "Explorer",
        "Performance",
        "Layers",
        "Attention",
        "Interventions",
        "Association",
        "Pre-training",
    }


def test_the_report_loads_nothing(report: str) -> None:
    """All of it is in the one file."""
    patterns = (
        r"<script[^>]*\ssrc\s*=",
        r"<link[^>]*\shref\s*=\s*[\"']?(?!data:)",
        r"<img[^>]*\ssrc\s*=\s*[\"']?https?:",
        r"@import\s",
        r"url\(\s*[\"']?https?:",
    )
    for pattern in patterns:
        assert re.findall(pattern, report) == [], pattern


# --- again ---------------------------------------------------------------------------------------


def test_a_second_run_does_nothing_and_says_so(finished: Finished) -> None:
    before = _digests(finished.folder)
    result = snakemake(finished.workflow, finished.folder, *options(finished))
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout
    assert _digests(finished.folder) == before


def _digests(folder: Path) -> dict[str, str]:
    """Digest of each product and each fetched file; neither times nor records are products."""
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for top in ("results", "resources")
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
        and path.name != ".snakemake_timestamp"
        and "benchmarks" not in path.parts
        and not path.name.endswith(ENDING)
    }


@pytest.fixture(scope="module")
def killed(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same study in another folder, killed together with its jobs while it trains."""
    base = tmp_path_factory.mktemp("killed")
    workflow = copy_workflow(base / "another-copy", finished.workflow)
    again = finished._replace(workflow=workflow, folder=base / "another-folder")
    again.folder.mkdir()
    with (base / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command(workflow, again.folder, *options(again)),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=again.folder,
            env=environment(),
            start_new_session=True,
        )
        try:
            _wait_for_training(process, again.folder, base / "output.txt")
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # its jobs too
            process.wait()
    return again


def _is_done(folder: Path, job: Job) -> bool:
    records = [folder / f"{output}{ENDING}" for output in job.outputs[:1]]
    return any(path.exists() and json.loads(path.read_text())["exit"] == 0 for path in records)


def _wait_for_training(process: subprocess.Popen[bytes], folder: Path, output: Path) -> None:
    """Until Snakemake has said that one model is trained, and another training has begun."""
    deadline = time.monotonic() + 1200
    ended = re.compile(r"^Finished jobid: \d+ \(Rule: finetune\)$", re.MULTILINE)
    while process.poll() is None and time.monotonic() < deadline:
        trained = ended.findall(output.read_text())
        begun = list(folder.glob("logs/*/finetune/*/*/*.log"))
        if trained and len(begun) > len(trained):
            return
        time.sleep(0.2)
    pytest.fail("the run ended before it could be killed")


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_files(
    finished: Finished, killed: Finished
) -> None:
    made = len(_digests(killed.folder))
    assert 0 < made < len(_digests(finished.folder)) / 2
    # What a power cut leaves locked, the user unlocks, as Snakemake says.
    refused = snakemake(killed.workflow, killed.folder, *options(killed))
    assert refused.returncode == 1
    assert "--unlock" in refused.stdout
    snakemake(killed.workflow, killed.folder, *options(killed), "--unlock")
    # What was done before the kill is not done again; what ran then is, and all that waits.
    done = {job for job in finished.everything if _is_done(killed.folder, job)}
    assert {"prepare_task", "subsample", "finetune"} <= {job.rule for job in done}
    waiting = plan(killed.workflow, killed.folder, killed.config, "--rerun-incomplete")
    # A job that ended in the moment of the kill is done again: Snakemake did not see it end.
    unseen = waiting & done
    assert len(unseen) <= 2  # cores
    assert waiting == (finished.everything - done) | unseen
    told = snakemake(killed.workflow, killed.folder, "explain", *options(killed)).stdout
    assert f"{len(waiting)} of {len(finished.everything)} jobs would run" in told
    assert re.search(r"finetune, .*: it was killed", told)
    going_on = snakemake(killed.workflow, killed.folder, *options(killed), "--", *PART)
    assert going_on.returncode == 0, going_on.stdout
    rest = snakemake(killed.workflow, killed.folder, *options(killed), warm=True)
    assert rest.returncode == 0, rest.stdout
    jobs = re.findall(r"^total +(\d+)$", going_on.stdout + rest.stdout, re.MULTILINE)
    assert len(jobs) == 2
    assert sum(map(int, jobs)) < len(finished.everything)  # it went on, it did not begin anew
    assert plan(killed.workflow, killed.folder, killed.config) == set()
    expected, found = _digests(finished.folder), _digests(killed.folder)
    assert set(found) == set(expected)
    assert [path for path in expected if found[path] != expected[path]] == []
    hidden = [
        str(path)
        for path in (killed.folder / "results").rglob(".*")
        if path.name != ".snakemake_timestamp"
    ]
    assert hidden == []
