"""The published study from a hub to its report, on replicas of its models and little data.

`config/paper.yaml` is taken as it stands, with `protocol: published`. What is changed: a hub on
loopback serves replicas in the place of the four models; sizes are small; MedNLI is written by the
test; and JNLPBA's files, where they are not at hand, are written too. After `snakemake download`
no hub can be reached.
"""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from hub import Hub, serving
from replicas import make_replica
from running import (
    ROOT,
    Config,
    copy_workflow,
    plan,
    read_config,
    snakemake,
    write_config,
)

from layerscope import catalogue
from layerscope.config.protocols import SECTIONS
from layerscope.core.files import sha256_file
from layerscope.run_records.content import ENDING

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("paper")]

PAPER = ROOT / "config" / "paper.yaml"
REAL_JNLPBA = ROOT.parent / "shared" / "data" / "jnlpba" / "dataset"
KINDS = {"bert": "bert", "biobert": "biobert", "gpt2-medium": "gpt2", "biogpt": "biogpt"}
#: All are downloaded; these are studied: BioBERT is a BERT, and the miniature has a GPT-2.
STUDIED = ("bert", "biogpt")
PICKLED = {"biobert", "biogpt"}
MEDNLI = {"train": 48, "validation": 12, "test": 30}
RELATIONS = ("entailment", "contradiction", "neutral")
#: Analyses that are turned off here.
OFF = (
    *("similarity", "heads", "error_analysis", "weight_change", "layer_localization", "explorer"),
    *(
        "significance",
        "head_lens",
        "head_importance",
        "representation_quality",
        "usable_information",
    ),
)
#: Conditions of analyses that do not hold in it.
LACKS = {
    *OFF, "pretrained-here", "interventions", "models", "adapter-pairs", "training-repeats",
}  # fmt: skip
FIGURES = [
    figure.stem.format(task=task)
    for figure in catalogue.FIGURES
    if LACKS.isdisjoint(figure.needs)
    for task in (("mednli", "jnlpba") if figure.by_task else [None])
]
NOWHERE = "http://127.0.0.1:9"


class Run(NamedTuple):
    """The finished run."""

    folder: Path
    config: Config
    hub: Hub
    downloaded: list[str]  # files that the hub was asked for before it was closed


def write_mednli(folder: Path, config: Config) -> None:
    """Files in MedNLI's layout, with the fields of its lines; no text of it."""
    source = config["tasks"]["mednli"]["source"]
    draw = random.Random(0)  # noqa: S311
    words = ("patient", "denies", "chest pain", "history of", "fever", "acute", "stable")
    folder.mkdir(parents=True)
    for split, count in MEDNLI.items():
        with open(folder / source["files"][split], "w", encoding="utf-8") as file:
            for number in range(count):
                premise = f"{split} {number // 3} " + " ".join(draw.choices(words, k=12))
                line = {
                    "sentence1": premise,
                    "pairID": f"{split}-{number}",
                    "sentence1_parse": "(ROOT)",
                    "sentence1_binary_parse": "( )",
                    "sentence2": f"The patient has {draw.choice(words)} {number}.",
                    "sentence2_parse": "(ROOT)",
                    "sentence2_binary_parse": "( )",
                    "gold_label": RELATIONS[number % 3],
                }
                file.write(json.dumps(line) + "\n")
    source["examples"] = dict(MEDNLI)


def write_jnlpba(folder: Path, config: Config) -> None:
    """JNLPBA's files: the real ones where they are, else a few of their layout."""
    source = config["tasks"]["jnlpba"]["source"]
    if REAL_JNLPBA.is_dir():
        for name in source["files"].values():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((REAL_JNLPBA / Path(name).name).read_bytes())
        return
    lines = [
        {"tokens": ["IL-2", "gene", "expression", "in", "T", "cells", "."],
         "tags": [1, 2, 0, 0, 5, 6, 0]},
        {"tokens": ["NF-kappaB", "binds", "HeLa", "cells", "and", "mRNA"],
         "tags": [3, 0, 7, 8, 0, 9]},
    ]  # fmt: skip
    for split, name in source["files"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        count = source["examples"][split] = 40
        text = "".join(
            json.dumps({**lines[i % 2], "tokens": [*lines[i % 2]["tokens"][:-1], f"{split}{i}"]})
            + "\n"
            for i in range(count)
        )
        (folder / name).write_text(text, encoding="utf-8")
        source["sha256"][name] = sha256_file(folder / name)


def made_small(config: Config) -> None:
    config["tasks"]["mednli"]["probe_limit"] = 24
    config["tasks"]["jnlpba"]["limit"] = {"train": 40, "validation": 10, "test": 24}
    config["tasks"]["jnlpba"]["probe_limit"] = 150
    # The miniature has two seeds; here is what a study with one is like.
    config["variants"] = {"percentages": [0, 100], "seeds": [1]}
    config["protocol"] = "published"  # with its own fine-tuning, probes and merged tags
    config["attention"] = {"examples": 6}
    # The published probes as they are; the further one as it takes least.
    linear = {"kind": "linear", "inverse_regularisation": 1.0, "row_draws": 0}
    config["probes"] = SECTIONS["published"]["probes"] | {
        "linear": linear | {"code_length": False, "combined": False}
    }
    # The miniature has what is computed alike for every study.
    config["interventions"] = None
    config["analyses"] = dict.fromkeys(OFF, False)
    config["statistics"] = {"resamples": 100}


def _run(
    workflow: Path, folder: Path, endpoint: str, *options: str | Path
) -> subprocess.CompletedProcess[str]:
    settings = {"HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"}
    return snakemake(workflow, folder, *options, fork_server=True, variables=settings)


def _logs(folder: Path) -> str:
    texts = {path: path.read_text() for path in sorted(folder.glob("logs/**/*.log"))}
    return "\n".join(
        f"--- {path.relative_to(folder)}\n{text[-1500:]}"
        for path, text in texts.items()
        if "error" in text.lower()
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    base = tmp_path_factory.mktemp("paper")
    workflow = copy_workflow(base / "workflow")
    folder = base / "run"
    folder.mkdir()
    config = read_config(PAPER)
    made_small(config)
    config["tasks"]["mednli"]["source"]["folder"] = "run/resources/mednli"
    write_mednli(folder / "resources" / "mednli", config)
    write_jnlpba(base / "hub" / "jnlpba", config)
    config["references"] = str(workflow / "config" / config["references"])
    path = write_config(base / "paper.yaml", config)
    options = ("--profile", workflow / "profiles" / "local", "--cores", "2", "--configfile", path)
    with serving() as hub:
        for name, model in config["models"].items():
            replica = make_replica(KINDS[name], base / "hub" / name, pickled=name in PICKLED)
            hub.publish(model["source"]["repository"], replica, model["source"]["revision"])
        data = config["tasks"]["jnlpba"]["source"]
        hub.publish(f"datasets/{data['repository']}", base / "hub" / "jnlpba", data["revision"])
        done = _run(workflow, folder, hub.endpoint, "download", *options)
        assert done.returncode == 0, done.stdout + _logs(folder)
        downloaded = hub.files()
        models = {name: config["models"][name] for name in STUDIED}
        write_config(path, config | {"models": models})
        done = _run(workflow, folder, NOWHERE, "report", *options)
        assert done.returncode == 0, done.stdout + _logs(folder)
        assert "Everything verifies" in done.stdout
        assert plan(workflow, folder, path, "--cores", "1", "results/paper/report.html") == set()
        yield Run(folder, config, hub, downloaded)


def _rows(run: Run, table: str) -> list[dict[str, Any]]:
    path = run.folder / "results" / "paper" / "tables" / f"{table}.parquet"
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_only_what_is_needed_was_downloaded_and_no_code(run: Run) -> None:
    assert not [name for name in run.downloaded if name.endswith((".py", ".h5", ".msgpack"))]
    weights = [name for name in run.downloaded if name.endswith((".bin", ".safetensors"))]
    assert {"pytorch_model.bin", "model.safetensors"} == set(weights)
    assert not list(run.folder.glob("resources/**/*.bin"))
    assert not list(run.folder.glob("resources/**/*.py"))


@pytest.mark.parametrize("model", KINDS)
def test_every_model_is_kept_as_safetensors_with_its_origin(model: str, run: Run) -> None:
    folder = run.folder / "resources" / "models" / model
    origin = (folder / "source.json").read_text(encoding="utf-8")
    assert run.config["models"][model]["source"]["revision"] in origin
    assert sha256_file(folder / "model.safetensors") in origin


def test_every_figure_and_the_report_are_there(run: Run) -> None:
    results = run.folder / "results" / "paper"
    made = {path.name for path in (results / "figures").iterdir()}
    endings = ("svg", "pdf", "png", f"svg{ENDING}")
    assert made == {f"{name}.{ending}" for name in FIGURES for ending in endings}
    assert (results / "report.html").stat().st_size > 100_000


def test_every_model_has_a_score_for_each_task(run: Run) -> None:
    found = {
        (row["task"], row["model"], row["seed"])
        for row in _rows(run, "scores")
        if row["percent"] == 100 and row["metric"] in ("accuracy", "entity_f1")
    }
    for task in ("mednli", "jnlpba"):
        for model in STUDIED:
            assert (task, model, 1) in found


def test_every_layer_is_probed(run: Run) -> None:
    layers: dict[str, set[int]] = {}
    for row in _rows(run, "probes"):
        if row["layer"] is not None:  # that is, not the best one
            layers.setdefault(row["model"], set()).add(row["layer"])
    for model in STUDIED:
        config = json.loads((run.folder / f"resources/models/{model}/config.json").read_text())
        count = config.get("num_hidden_layers", config.get("n_layer"))
        assert layers[model] == set(range(count + 1))


def test_the_verdict_has_a_line_for_each_published_value_of_the_study(run: Run) -> None:
    rows = _rows(run, "reproduction")
    compared = {(row["task"], row["model"]) for row in rows if row["verdict"] != "not comparable"}
    assert ("mednli", "bert") in compared
    # Models with random weights must not agree with what is published.
    assert {row["verdict"] for row in rows if row["model"] in STUDIED} <= {
        "below",
        "inconclusive",
        "not comparable",
    }


def test_nothing_derived_from_mednli_can_be_read_by_others(run: Run) -> None:
    assert os.umask(os.umask(0o022)) & 0o077 != 0o077, "else this test proves nothing"
    open_to_others = [
        path.relative_to(run.folder)
        for top in ("results/paper", "logs/paper")
        for path in (run.folder / top).rglob("*")
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert open_to_others == []
