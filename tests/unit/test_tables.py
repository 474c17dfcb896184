"""Tables: what the files of other stages become, column by column."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from synthetic_results import MODELS, TASKS, write_study
from synthetic_tables import CHOSEN, FILES, SETTINGS, SHAPES, records, run_program, tabulate

from layerscope import catalogue
from layerscope.core.errors import UserError
from layerscope.core.files import write_json
from layerscope.core.formats import SCHEMAS, file_metadata, read_table, write_blocks, write_table
from layerscope.core.measures import of_main_rows
from layerscope.core.table_files import add_steps, join, path_parts, read_frame, write_csv
from layerscope.core.variants import parse_variant
from layerscope.tables.rows import (
    attention_rows,
    intervention_rows,
    pretraining_rows,
    probe_rows,
    score_rows,
)


@pytest.fixture(scope="module")
def study(made_tables: dict[str, Path]) -> dict[str, Path]:
    return made_tables


def attention(values: dict[tuple[str, int, int, str], float | None]) -> pa.Table:
    columns = zip(*values, strict=True)
    names = ("example_id", "layer", "head", "measure")
    table = {name: list(column) for name, column in zip(names, columns, strict=True)}
    return pa.table(
        {**table, "value": list(values.values())}, schema=pa.schema(SCHEMAS["attention"].items())
    )


@pytest.mark.parametrize(
    ("variant", "expected"),
    [("pretrained", (0, None)), ("random-s3", (0, 3)), ("f30-s12", (30, 12))],
)
def test_variant_gives_percent_and_seed(variant: str, expected: tuple[int, int | None]) -> None:
    assert parse_variant(variant) == expected


def test_every_table_of_variants_has_their_steps(study: dict[str, Path]) -> None:
    """Also what a mean over seeds stands for; baselines take none."""
    training = read_frame(study["training"], "training-table")
    assert set(training["learned"][training["percent"] == 10]) == {False}
    assert set(training["learned"][training["percent"] == 100]) == {True}
    of_variants = [name for name in study if "steps" in SCHEMAS[f"{name}-table"]]
    assert {"scores", "probes", "heads", "layer_localization"} < set(of_variants)
    for name in set(of_variants) - {"weight_change", "error_analysis"}:  # these are made up whole
        rows = read_frame(study[name], f"{name}-table")
        rows = rows[rows["model"].isin(SHAPES) & ~rows["variant"].str.startswith("random")]
        tuned = rows["percent"] > 0
        assert (rows["steps"] == rows["percent"] + 100 * tuned).all(), name


def test_a_mean_over_trainings_of_other_lengths_has_no_steps(tmp_path: Path) -> None:
    keys = {"task": "t", "model": "m", "percent": 50}
    rows = [{**keys, "variant": f"f50-s{s}", "seed": s, "steps": 100 + s} for s in (1, 2)]
    write_table(tmp_path / "training.parquet", "training-table", rows)
    asked = [{**keys, "variant": variant} for variant in ("f50-s2", "f50", "pretrained")]
    (found,) = add_steps([asked], "scores-table", [tmp_path / "training.parquet"])
    assert [row["steps"] for row in found] == [102, None, 0]


def test_interventions_keep_what_they_are_of_and_get_a_depth() -> None:
    def row(name: str, **known: object) -> dict[str, object]:
        every = dict.fromkeys(SCHEMAS["intervention"]) | known
        return every | {"intervention": name, "metric": "accuracy", "value": 0.5, "change": -0.1}

    given = [
        row("none"),
        row("heads-most", ablation="mean", share=25),
        row("erased", fitted="read", layer=1, edit=0.4, probe=0.3),
        row("erased", layer=4),
    ]
    schema = pa.schema(SCHEMAS["intervention"].items())
    found = intervention_rows(pa.Table.from_pylist(given, schema=schema), "t", "m", "f100-s2")
    assert [each["depth"] for each in found] == [None, None, 0.25, 1]
    keys = {"task": "t", "model": "m", "variant": "f100-s2", "percent": 100, "seed": 2}
    assert [{k: v for k, v in each.items() if k != "depth"} for each in found] == [
        keys | each for each in given
    ]


@pytest.mark.parametrize("variant", ["f10", "s1", "f10-s", "f-s1", "f10-s1 ", "best"])
def test_other_names_are_no_variants(variant: str) -> None:
    with pytest.raises(ValueError, match="not the name of a variant"):
        parse_variant(variant)


@pytest.mark.parametrize(
    "name",
    [
        "scores",
        "confusion",
        "probes",
        "attention",
        "association",
        "association-points",
        "pretraining",
    ],
)
def test_tables_have_the_fixed_columns_and_a_csv_of_the_same(
    study: dict[str, Path], name: str
) -> None:
    kind = f"{name}-table"
    table = read_table(study[name], kind)
    assert table.column_names == list(SCHEMAS[kind])
    assert len(table)
    csv = pyarrow.csv.read_csv(
        study[name].with_suffix(".csv"),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=SCHEMAS[kind], strings_can_be_null=False
        ),
    )
    assert csv.equals(table.replace_schema_metadata(None))


def test_score_rows_know_the_model_and_keep_means_over_seeds(study: dict[str, Path]) -> None:
    rows = read_table(study["scores"], "scores-table").to_pylist()
    mini = [r for r in rows if (r["task"], r["model"], r["metric"]) == (
        "one-nli", "gpt-mini", "accuracy")]  # fmt: skip
    assert {(r["architecture"], r["domain"]) for r in mini} == {("decoder", "general")}
    assert [(r["variant"], r["percent"], r["seed"]) for r in mini] == [
        ("f10-s1", 10, 1), ("f10-s2", 10, 2), ("f10", 10, None),
        ("f100-s1", 100, 1), ("f100-s2", 100, 2), ("f100", 100, None),
    ]  # fmt: skip
    assert mini[2]["value"] == pytest.approx((mini[0]["value"] + mini[1]["value"]) / 2)
    baseline = [r for r in rows if r["model"] == "bag-of-words"]
    assert {(r["architecture"], r["domain"]) for r in baseline} == {("baseline", "none")}


def test_scores_of_an_unknown_model_are_refused() -> None:
    content = {"task": "t", "model": "minlm", "scores": []}
    with pytest.raises(UserError, match="'minlm' is unknown; allowed: minilm, majority"):
        score_rows([content], {"minilm": MODELS["minilm"]})


def test_probe_rows_average_probe_seeds_and_scale_depth() -> None:
    values = {(layer, seed): 0.1 * layer + 0.2 * seed for layer in range(5) for seed in (0, 1)}
    table = pa.table(
        {
            "rows": ["validation"] * 10,
            "view": ["word"] * 10,
            "layer": [layer for layer, _ in values],
            "metric": ["entity_f1"] * 10,
            "value": list(values.values()),
            "probe_seed": [seed for _, seed in values],
        }
    )
    rows = records(probe_rows(table, "t", "m", "f30-s4", "bilstm-crf", last=8))
    assert [r["depth"] for r in rows] == [0, 0.125, 0.25, 0.375, 0.5]
    assert [r["value"] for r in rows] == pytest.approx([0.1 * layer + 0.1 for layer in range(5)])
    assert {(r["percent"], r["seed"], r["probe"]) for r in rows} == {(30, 4, "bilstm-crf")}


def test_controls_have_percent_0_and_draws_of_random_weights_their_mean(
    study: dict[str, Path],
) -> None:
    rows = read_frame(study["probes"], "probes-table")
    controls = rows[rows["percent"] == 0]
    names = controls.fillna({"seed": -1})[["variant", "seed"]].drop_duplicates()
    assert {*names.itertuples(index=False, name=None)} == {
        ("pretrained", -1), ("random-s0", 0), ("random-s5", 5), ("random", -1),
    }  # fmt: skip
    keys = ["task", "model", "probe", "view", "metric", "layer"]
    by_layer = controls[controls["layer"].notna()].set_index(keys)
    draws = [by_layer[by_layer["variant"] == f"random-s{seed}"]["value"] for seed in (0, 5)]
    mean = by_layer[by_layer["variant"] == "random"]["value"]
    assert len(mean)
    np.testing.assert_allclose(mean, (draws[0] + draws[1])[mean.index] / 2)
    single = of_main_rows(rows[rows["task"] == rows["task"].iloc[0]])
    assert {"random-s0", "random-s5", "pretrained"} < set(single["variant"])
    assert "random" not in set(single["variant"])


def test_attention_rows_are_means_with_intervals_that_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.7, 0.1, size=(40, 150))  # examples x heads, every true mean 0.7
    table = attention(
        {(f"e{i}", 1, j, "cosine"): float(values[i, j]) for i in range(40) for j in range(150)}
    )
    rows = attention_rows(table, "t", "m", "f10-s1", 500, 0.9, 0)
    assert [r["head"] for r in rows] == list(range(150))
    assert [r["value"] for r in rows] == pytest.approx(values.mean(axis=0), abs=1e-6)
    covered = np.mean([r["low"] <= 0.7 <= r["high"] for r in rows])
    assert 0.8 < covered < 0.96
    # The textbook interval of a mean, to which the bootstrap one must be close.
    textbook = 2 * 1.645 * values.std(axis=0) / np.sqrt(40)
    assert [r["high"] - r["low"] for r in rows] == pytest.approx(textbook, rel=0.25)


def test_attention_rows_leave_out_what_is_missing() -> None:
    table = attention(
        {
            ("a", 1, 0, "jsd"): 0.1, ("b", 1, 0, "jsd"): 0.3, ("c", 1, 0, "jsd"): 0.2,
            ("a", 1, 1, "jsd"): 0.4, ("b", 1, 1, "jsd"): None, ("c", 1, 1, "jsd"): 0.6,
            ("a", 2, 0, "jsd"): float("nan"), ("c", 2, 0, "jsd"): 0.5,
            ("b", 1, 0, "entropy"): None,
        }
    )  # fmt: skip
    rows = attention_rows(table, "t", "m", "f10-s1", 200, 0.95, 0)
    found = {(r["layer"], r["head"]): r["value"] for r in rows}
    assert found == pytest.approx({(1, 0): 0.2, (1, 1): 0.5, (2, 0): 0.5})
    assert {r["measure"] for r in rows} == {"jsd"}
    spread = {(r["layer"], r["head"]): (r["low"], r["high"]) for r in rows}
    assert spread[1, 1] == pytest.approx((0.4, 0.6))
    assert spread[2, 0] == (None, None)  # one example has no spread


def test_one_more_measure_changes_no_interval_of_another() -> None:
    rng = np.random.default_rng(1)
    one = {(f"e{i}", 1, 0, "jsd"): float(rng.random()) for i in range(9)}
    two = {(f"e{i}", 1, 0, "cosine"): float(rng.random()) for i in range(9)}
    alone = attention_rows(attention(one), "t", "m", "f10-s1", 200, 0.95, 0)
    both = attention_rows(attention({**two, **one}), "t", "m", "f10-s1", 200, 0.95, 0)
    assert [r for r in both if r["measure"] == "jsd"] == alone


def test_pretraining_rows_and_an_empty_table(tmp_path: Path) -> None:
    content = {
        "model": "m", "corpus": "hpo", "objective": "masked",
        "evaluations": [{"step": 0, "loss": 2.0, "perplexity": 7.4}, {"step": 9, "loss": 1.0,
                        "perplexity": 2.7}],
    }  # fmt: skip
    rows = pretraining_rows([content])
    assert [(r["step"], r["metric"], r["value"]) for r in rows] == [
        (0, "loss", 2.0), (9, "loss", 1.0), (0, "perplexity", 7.4), (9, "perplexity", 2.7),
    ]  # fmt: skip
    out = tmp_path / "pretraining.parquet"
    run_program("make_table", "tables.pretraining", "--out", f"pretraining={out}", "--csv")
    assert read_table(out, "pretraining-table").num_rows == 0
    assert out.with_suffix(".csv").read_text().startswith('"model","corpus"')


def test_the_path_says_what_a_file_is_of(tmp_path: Path) -> None:
    names = ("task", "model", "variant", "probe")
    path = "results/demo/probes/hpo-nli/gpt-mini/f10-s1/svm.parquet"
    assert path_parts(path, names) == ["hpo-nli", "gpt-mini", "f10-s1", "svm"]
    with pytest.raises(UserError, match="too short a path"):
        path_parts("f10-s1/svm.parquet", names)


def test_a_task_that_is_not_in_the_table_is_named(study: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="no task 'nli'; allowed: one-nli, one-ner"):
        read_frame(study["scores"], "scores-table", "nli")


def test_of_a_task_only_the_measures_asked_for_are_read(study: dict[str, Path]) -> None:
    everything = read_table(study["attention"], "attention-table").to_pylist()
    rows = read_frame(study["attention"], "attention-table", "one-ner", ("jsd", "cosine"))
    assert records(rows) == [
        row
        for row in everything
        if row["task"] == "one-ner" and row["measure"] in ("jsd", "cosine")
    ]
    assert len(rows)
    # A task without such a measure is there all the same.
    assert not read_frame(study["attention"], "attention-table", "one-ner", ("none",)).size


@pytest.mark.slow
def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        files = write_study(tmp_path / name, {"t": "ner"}, {"minilm": (1, 2)}, (100,), (1,))
        made.append(tabulate(files, {"minilm": MODELS["minilm"]}, tmp_path / name / "tables"))
    for name, path in made[0].items():
        assert path.read_bytes() == made[1][name].read_bytes(), name
    # One model has placebos and inner measures, but no correlation between models.
    rows = pq.read_table(made[0]["association"]).to_pylist()
    assert {r["placebo"] for r in rows} == {True, False}
    assert {r["low"] for r in rows} == {None}


@pytest.mark.slow
@pytest.mark.parametrize(
    "table",
    [t for t in catalogue.planned(catalogue.TABLES, CHOSEN) if t.inputs and t.name not in FILES],
    ids=lambda table: table.name,
)
def test_rows_of_a_task_are_made_from_that_task_alone(
    table: catalogue.Table, study: dict[str, Path], tmp_path: Path
) -> None:
    """So an audit of a figure of one task leaves out what the rows of others were made from."""
    task, given = next(iter(TASKS)), []
    for name in (*table.inputs, *table.optional):
        own = read_frame(study[name], f"{name}-table", task)
        kind, path = f"{name}-table", tmp_path / f"{name}.parquet"
        write_blocks(path, kind, [records(own)], file_metadata(study[name], kind))
        given.append(f"{name}={path}")
    more = {"families": {m: m for m in SHAPES}} if table.settings == "association" else {}
    settings = json.dumps({**json.loads(SETTINGS), **more})
    out = {name: tmp_path / "out" / f"{name}.parquet" for name in table.names}
    run_program(
        "make_table", table.module, "--inputs", *given,
        *(["--settings", settings] if table.settings else []),
        "--out", *(f"{name}={path}" for name, path in out.items()),
    )  # fmt: skip
    for name, path in out.items():
        alone = read_frame(path, f"{name}-table")
        assert len(alone)
        pd.testing.assert_frame_equal(alone, read_frame(study[name], f"{name}-table", task))


@pytest.mark.slow
def test_a_study_without_changes_of_weights_has_the_other_placebos(
    study: dict[str, Path], tmp_path: Path
) -> None:
    given = [f"{name}={study[name]}" for name in ("scores", "probes", "attention")]
    made = {name: tmp_path / f"{name}.parquet" for name in ("association", "association-points")}
    settings = json.dumps({**json.loads(SETTINGS), "families": {"gpt-mini": "minilm"}})
    run_program("make_table", "evaluation.association", "--inputs", *given, "--settings", settings,
                "--out", *(f"{name}={path}" for name, path in made.items()))  # fmt: skip
    rows = pq.read_table(made["association"]).to_pylist()
    placebos = {row["inner measure"] for row in rows if row["placebo"]}
    assert placebos == {"training fraction", "optimiser steps", "pre-trained model's probe"}
    points = pq.read_table(made["association-points"]).to_pylist()
    assert {row["family"] for row in points if row["model"] == "gpt-mini"} == {"minilm"}


def test_csv_says_what_the_table_says(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    row = {"task": "t", "model": 'a "quoted", one', "variant": "f1-s1", "percent": 1, "seed": None,
           "label": "=1+1", "predicted": "", "count": -3, "steps": 7}  # fmt: skip
    write_table(path, "confusion-table", [row])
    write_csv(path)
    header, line = path.with_suffix(".csv").read_text(encoding="utf-8").splitlines()
    assert header.replace('"', "").split(",") == list(SCHEMAS["confusion-table"])
    # A spreadsheet takes no text for a formula.
    assert line == '"t","a ""quoted"", one","f1-s1",1,,7,"\'=1+1","",-3'


@pytest.mark.slow
def test_a_table_of_parts_is_that_of_all_files_at_once(tmp_path: Path) -> None:
    """The same rows in the same order, and the same CSV, as of one part that holds everything."""
    files = write_study(tmp_path, {"a": "nli", "b": "ner"}, SHAPES, (10,), (1,), examples=3)
    made = tabulate(files, {m: MODELS[m] for m in SHAPES}, tmp_path / "tables")
    for name, settings in (("attention", ["--settings", SETTINGS]),):
        whole = tmp_path / f"{name}.parquet"
        module = f"tables.{name}"
        training = f"training={made['training']}"
        run_program(
            "make_table", module, *files[name], "--inputs", training, *settings,
            "--out", f"{name}={whole}",
        )  # fmt: skip
        assert read_table(made[name], f"{name}-table").equals(
            read_table(whole, f"{name}-table"), check_metadata=True
        )
        write_csv(whole)
        csv = whole.with_suffix(".csv").read_bytes()
        assert made[name].with_suffix(".csv").read_bytes() == csv


def test_parts_made_with_other_settings_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, confidence in zip(paths, (0.95, 0.9), strict=True):
        write_table(path, "attention-table", [], {"confidence": confidence})
    with pytest.raises(UserError, match=r"b\.parquet: made with .*0\.9.*; allowed: .*0\.95.*, as"):
        join(paths, "attention-table", tmp_path / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_scores_program_reports_a_missing_file(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {})
    with pytest.raises(UserError, match="no such file"):
        run_program(
            "make_table", "tables.scores", tmp_path / "none.json",
            "--settings", json.dumps(MODELS), "--out", f"scores={tmp_path / 's.parquet'}",
            f"confusion={tmp_path / 'c.parquet'}",
        )  # fmt: skip
