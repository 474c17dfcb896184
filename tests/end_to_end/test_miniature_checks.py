"""Tables of the miniature study that fine-tuned models, or layers, are changed or read for."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from miniature import MODELS, TASKS, TUNED, distinct, rows_of

from layerscope.run_records.content import ENDING

pytestmark = pytest.mark.xdist_group("miniature")

#: What a row of patches is of.
_KNOWN = ("task", "model", "variant", "metric", "patch", "direction")


def test_interventions_of_every_tuned_model_start_from_its_score(results: Path) -> None:
    rows = rows_of(results, "interventions")
    scores = {
        (row["task"], row["model"], row["variant"], row["metric"]): row["value"]
        for row in rows_of(results, "scores")
    }
    untouched = [row for row in rows if row["intervention"] == "none"]
    assert distinct(untouched, "task", "model", "variant") == {
        *itertools.product(TASKS, MODELS, TUNED)
    }
    for row in untouched:
        known = (row["task"], row["model"], row["variant"], row["metric"])
        assert (row["value"], row["change"]) == (scores[known], 0), row
    for name, fitted in itertools.product(("erased", "erased-control"), ("read", "mean")):
        chosen = [row for row in rows if (row["intervention"], row["fitted"]) == (name, fitted)]
        assert all(row["edit"] > 0 and 0 <= row["probe"] <= 1 for row in chosen)
        assert distinct(chosen, "task", "model", "variant", "layer") == {
            (task, model, variant, layer)
            for task, variant in itertools.product(TASKS, TUNED)
            for model, layers in MODELS.items()
            for layer in range(1, layers + 1)
        }
    assert distinct(rows, "intervention", "ablation", "share") >= {
        (name, ablation, 50)
        for name in ("heads-most", "heads-least", "heads-random")
        for ablation in ("zero", "mean")
    }


def test_patches_of_every_tuned_model_lie_between_its_score_and_that_of_before(
    results: Path,
) -> None:
    rows = rows_of(results, "patching")
    assert distinct(rows, "task", "model", "variant", "patch", "direction", "layer") == {
        (task, model, variant, patch, direction, layer)
        for task, (model, last), variant in itertools.product(TASKS, MODELS.items(), TUNED)
        for direction in ("into-finetuned", "into-pretrained", None)
        for patch in (("none", "one-layer", "up-to-layer") if direction else ("line",))
        for layer in (range(last + 1) if "layer" in patch else [None])
    }
    untouched = {
        (row["task"], row["model"], row["variant"], row["metric"]): row["value"]
        for row in rows_of(results, "interventions")
        if row["intervention"] == "none"
    }
    values = {tuple(row[name] for name in (*_KNOWN, "layer", "weight")): row["value"]
              for row in rows}  # fmt: skip
    for known, value in untouched.items():
        last = MODELS[known[1]]
        before = values[*known, "none", "into-pretrained", None, None]
        for whole, patched in (
            (value, ("none", "into-finetuned", None, None)),
            (value, ("up-to-layer", "into-pretrained", last, None)),
            (value, ("line", None, None, 1.0)),
            (before, ("up-to-layer", "into-finetuned", last, None)),
            (before, ("line", None, None, 0.0)),
        ):
            assert values[*known, *patched] == whole
    assert any(row["change"] for row in rows)


def test_the_head_lens_ends_at_the_model_s_own_scores(results: Path) -> None:
    """And its maps learn from no group of the test rows."""
    rows = rows_of(results, "head_lens")
    keys = ("task", "model", "variant", "metric")
    scores = {tuple(row[name] for name in keys): row["value"] for row in rows_of(results, "scores")}
    own = {tuple(r[name] for name in keys): r["value"] for r in rows if r["lens"] == "none"}
    assert own == {key: scores[key] for key in own}
    assert {key[:3] for key in own} == {*itertools.product(TASKS, MODELS, TUNED)}
    last = [row for row in rows if row["depth"] == 1 and row["lens"] != "shuffled"]
    ends = {"agreement": 1.0, "kl": 0.0}
    for row in last:
        expected = own.get(tuple(row[name] for name in keys), ends.get(row["metric"]))
        assert row["value"] == expected, row
    assert distinct(rows, "model", "lens", "layer") == {
        (model, lens, layer)
        for model, layers in MODELS.items()
        for lens in ("plain", "tuned", "shuffled")
        for layer in range(layers + 1)
    } | {(model, "none", None) for model in MODELS}
    for task in TASKS:
        learned, tested = (
            set(pq.read_table(results / "data" / task / f"{split}.parquet")["group_id"].to_pylist())
            for split in ("validation", "test")
        )
        assert learned.isdisjoint(tested)
        record = json.loads(
            (results / "head_lens" / task / f"bert-tiny/f50-s1.parquet{ENDING}").read_text()
        )
        read = {entry["path"].split("/", 2)[2] for entry in record["inputs"]}
        assert {
            f"data/{task}/validation.parquet",
            f"samples/{task}/probe-validation.parquet",
        } <= read


def test_the_importance_of_every_head_is_of_the_rows_that_probes_learn_from(results: Path) -> None:
    """Beside the change that the table of attention has."""
    rows = rows_of(results, "head_importance")
    assert distinct(rows, "task", "model", "variant", "layer") == {
        (task, model, variant, layer)
        for task, (model, last), variant in itertools.product(TASKS, MODELS.items(), TUNED)
        for layer in range(1, last + 1)
    }
    keys = ("task", "model", "variant", "layer", "head")
    changes = {
        tuple(row[name] for name in keys): row["value"]
        for row in rows_of(results, "attention")
        if row["measure"] == "jsd" and row["variant"] in TUNED
    }
    assert {tuple(row[name] for name in keys): row["jsd"] for row in rows} == changes
    assert all(0 < row["importance_low"] <= row["importance"] for row in rows)
    for task in TASKS:
        sample = pq.read_table(results / "samples" / task / "probe-validation.parquet")
        for model, variant in itertools.product(MODELS, TUNED):
            read = pq.read_table(results / "head_importance" / task / model / f"{variant}.parquet")
            assert set(read["example_id"].to_pylist()) == set(sample["example_id"].to_pylist())
    correlations = rows_of(results, "head_correlations")
    assert distinct(correlations, "task", "model") == {*itertools.product(TASKS, MODELS)}
