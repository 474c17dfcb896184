"""Tables of the miniature study: the fixed columns, and rows of all that was configured."""

from __future__ import annotations

import csv
import itertools
import math
import re
from pathlib import Path

import notebooks
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from miniature import BASELINES, MODELS, TASKS, TUNED, VARIANTS, VIEWS, distinct, rows_of
from running import Finished, read_config

from layerscope import catalogue
from layerscope.core.formats import SCHEMAS
from layerscope.core.formats.dictionary import columns_of
from layerscope.run_records.content import ENDING

pytestmark = pytest.mark.xdist_group("miniature")


TABLES = catalogue.table_names(
    {*catalogue.SWITCHES, "models", "attention", "interventions", "pretrained-here"}
    - {"representation_quality", "usable_information"}
)


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_the_fixed_ones(table: str, results: Path) -> None:
    expected = list(SCHEMAS[f"{table}-table"])
    stored = pq.read_table(results / "tables" / f"{table}.parquet")
    assert stored.column_names == expected
    assert (stored.num_rows > 0) == (table != "not_applicable")
    with (results / "tables" / f"{table}.csv").open(encoding="utf-8", newline="") as handle:
        lines = list(csv.reader(handle))
    assert lines[0] == expected
    assert len(lines) == 1 + stored.num_rows


@pytest.mark.parametrize("table", TABLES)
def test_columns_hold_what_the_dictionary_says(table: str, results: Path) -> None:
    """Nulls where they may be, values in their range; the file and the page beside it say so."""
    stored = pq.read_table(results / "tables" / f"{table}.parquet")
    page = (results / "tables" / "README.md").read_text(encoding="utf-8")
    (described,) = re.findall(rf"^## {table}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    for column in columns_of(table):
        assert stored.schema.field(column.name).metadata[b"about"].decode() == column.about
        assert f"| `{column.name}` | {column.type} | {column.about} |" in described
        values = stored[column.name].unique().to_pylist()
        assert column.null or None not in values, column.name
        known = [value for value in values if value is not None]
        if known and column.range and column.type in ("integer", "number"):
            low, high = column.range
            assert low - 1e-6 <= min(known), column.name
            assert max(known) <= high + 1e-6, column.name
        elif column.range:
            assert set(known) <= set(column.range), column.name


def test_tables_are_all(results: Path) -> None:
    names = {path.name for path in (results / "tables").iterdir()}
    files = {f"{name}.{ending}" for name in TABLES for ending in ("parquet", "csv")}
    # One job makes scores and confusion, one the association and its points; each has one record.
    further = ("confusion", "association-points")
    records = {f"{name}.parquet{ENDING}" for name in TABLES if name not in further}
    files.add("README.md")
    records.add(f"README.md{ENDING}")
    assert names == files | records


def test_scores_of_every_model_and_baseline(results: Path) -> None:
    """Of fine-tuned variants alone: the head of a model that is not fine-tuned is untrained."""
    rows = rows_of(results, "scores")
    assert distinct(rows, "task", "model") == {
        (task, name) for task in TASKS for name in {*MODELS, *BASELINES[task]}
    }
    of_models = [row for row in rows if row["model"] in MODELS]
    assert distinct(of_models, "variant", "percent", "seed") >= {
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
                for row in rows_of(results, "scores")
                if (row["task"], row["model"], row["variant"]) == ("hpo-nli", model, variant)
                and row["metric"] == "accuracy"
            ]
            assert [row["value"] for row in rows] == [pytest.approx(right.as_py())]


def test_confusion_counts_every_test_example(results: Path) -> None:
    test = pq.read_table(results / "data" / "hpo-nli" / "test.parquet").num_rows
    rows = [row for row in rows_of(results, "confusion") if row["task"] == "hpo-nli"]
    for model in MODELS:
        for variant in TUNED:
            counts = [
                row["count"] for row in rows if (row["model"], row["variant"]) == (model, variant)
            ]
            assert 3 <= len(counts) <= 9  # of two labels only pairs that occur have a row
            assert sum(counts) == test


def test_probes_of_every_layer_of_every_variant(results: Path, finished: Finished) -> None:
    rows = rows_of(results, "probes")
    config = read_config(finished.config)
    expected = {
        (task, model, variant, probe, layer)
        for task in TASKS
        for model, layers in MODELS.items()
        for variant in VARIANTS
        for probe in config["tasks"][task]["probes"]
        for layer in range(layers + 1)
    }
    single = [
        row
        for row in rows
        if row["layer"] is not None and (row["seed"] is not None or row["variant"] == "pretrained")
    ]
    assert distinct(single, "task", "model", "variant", "probe", "layer") == expected
    assert {row["rows"] for row in rows if row["task"] == "hpo-nli"} == {"validation"}
    assert {row["rows"] for row in rows if row["task"] == "hpo-ner"} == {
        "validation", "train", "train - validation",
    }  # fmt: skip
    for task in TASKS:
        views = {row["view"] for row in rows if row["task"] == task}
        assert views >= set(VIEWS[task])
    for row in single:
        assert row["depth"] == pytest.approx(row["layer"] / MODELS[row["model"]])
        difference = "selectivity" in row["metric"] or "-" in row["rows"]
        low = -1 if difference else 0
        unbounded = "code_length" in row["metric"] or "compression" in row["metric"]
        assert low <= row["value"] <= (math.inf if unbounded else 1), row


def test_similarity_of_every_layer_of_every_variant_and_pair_of_models(results: Path) -> None:
    rows = rows_of(results, "similarity")
    expected = {
        (task, model, variant, view, layer)
        for task in TASKS
        for model, layers in MODELS.items()
        for variant in VARIANTS
        for view in VIEWS[task]
        for layer in range(layers + 1)
    }
    assert distinct(rows, "task", "model", "variant", "view", "layer") == expected
    for row in rows:
        assert -1.2 <= row["value"] <= 1.2, row  # unbiased estimates pass the bounds a little
    compared = {row["variant"] for row in rows if row["measure"] == "cka"}
    assert compared == set(VARIANTS) - {"pretrained"}
    models = rows_of(results, "cross_model_similarity")
    assert distinct(models, "model", "other") == {tuple(sorted(MODELS))}
    assert distinct(models, "task", "variant") == {
        (task, variant) for task in TASKS for variant in ("pretrained", "f50-s1", "f50-s2")
    }


def test_attention_of_every_head_of_every_variant(results: Path) -> None:
    rows = rows_of(results, "attention")
    heads = {"bert-tiny": 4, "gpt-tiny": 2}
    expected = {
        (task, model, variant, layer, head)
        for task in TASKS
        for model, layers in MODELS.items()
        for variant in VARIANTS
        for layer in range(1, layers + 1)
        for head in range(heads[model])
    }
    assert distinct(rows, "task", "model", "variant", "layer", "head") == expected
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
    rows = rows_of(results, "heads")
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


def test_the_evaluation_counts_each_entity_once_and_words_for_calibration(results: Path) -> None:
    rows = [row for row in rows_of(results, "error_analysis") if row["seed"] is not None]
    words = pq.read_table(
        results / "predictions" / "hpo-ner" / "bert-tiny" / "f50-s1.parquet"
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
        assert sum(row["n"] for row in own) == (12 if task == "hpo-nli" else words)


def test_association_of_both_tasks(results: Path) -> None:
    rows = rows_of(results, "association")
    assert {row["task"] for row in rows} == set(TASKS)
    assert {row["inner measure"] for row in rows if row["placebo"]} >= {
        "training fraction", "pre-trained model's probe", "change of weights",
    }  # fmt: skip
    # Two models that are not derived from one another support no claim.
    assert max(row["models"] for row in rows) == len(MODELS)
    assert {(row["p"], row["p_corrected"], row["critical"]) for row in rows} == {(None,) * 3}
    # A point is a fine-tuned variant.
    assert max(row["n"] for row in rows) == len(MODELS) * len(TUNED)
    pooled = [row["value"] for row in rows if row["statistic"] == "spearman over all points"]
    assert any(value is not None for value in pooled)


def test_pretraining_of_the_model_that_is_made_here(results: Path) -> None:
    rows = rows_of(results, "pretraining")
    assert {row["model"] for row in rows} == {"gpt-tiny"}
    assert {row["step"] for row in rows} >= {0, 4}
    for row in rows:
        assert row["value"] > 0


def test_the_notebook_reads_and_draws_the_study(results: Path) -> None:
    names = notebooks.run("study.ipynb", STUDY=str(results))
    axes, curves = names["figure"].axes, names["curves"]
    assert {axis.get_title() for axis in axes} == set(MODELS)
    for axis in axes:
        drawn = {line.get_label(): line for line in axis.lines}
        assert set(drawn) == {"pretrained", "random", "f50"}
        own = curves[(curves["model"] == axis.get_title()) & (curves["variant"] == "pretrained")]
        assert list(drawn["pretrained"].get_ydata()) == list(own["value"])
    assert len(names["most"]) == 3 * len(TASKS) * len(MODELS) * len(TUNED)
