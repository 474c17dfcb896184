"""A whole model beside one with an adapter: scores by equivalence, insides by difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_tables import rows as rows_of

from layerscope.config import jobs, relations
from layerscope.config.load import read_yaml, validate
from layerscope.core.table_files import Sources
from layerscope.evaluation.adapters import inner_rows, score_row
from layerscope.evaluation.inside import by_layer, difference
from layerscope.figures import adapters as figure
from layerscope.summary.adapters import adapter_findings

ROOT = Path(__file__).parents[2]


def inner(values: dict[str, np.ndarray], error: float = 0.0) -> pd.DataFrame:
    """One measure of models: seeds x layers of each."""
    return pd.DataFrame(
        [
            {"measure": "attention JSD", "model": model, "variant": f"f100-s{seed}", "percent": 100,
             "seed": seed, "layer": layer, "depth": layer / 3, "value": value, "error": error}
            for model, own in values.items()
            for seed, line in enumerate(own)
            for layer, value in enumerate(line)
        ]
    )  # fmt: skip


def test_a_planted_difference_is_found_in_its_layer() -> None:
    rng = np.random.default_rng(0)
    whole, adapter = rng.normal(0.3, 0.002, (2, 5, 4))
    adapter[:, 2] -= 0.1
    mean, *layers = inner_rows(inner({"w": whole, "a": adapter}), "w", "a", 0.95)
    assert (mean["layer"], mean["seeds"]) == (None, 5)
    assert mean["value"] == pytest.approx((adapter - whole).mean())
    assert [row["p_corrected"] <= 0.05 for row in layers] == [False, False, True, False]
    assert layers[2]["low"] < (adapter - whole)[:, 2].mean() < layers[2]["high"] < 0


@pytest.mark.slow
@pytest.mark.parametrize("error", [0.0, 1.0])
def test_equal_models_differ_in_at_most_one_test_of_twenty(error: float) -> None:
    """Errors of examples are of the seeds' size where there are any; three seeds a side."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(120):
        sides = [
            pd.DataFrame({"value": rng.normal(size=3) + error * rng.normal(), "error": error})
            for _ in range(2)
        ]
        found.append(difference(*sides, 0.95))
    low, high, p = np.asarray(found)[:, 1:].T
    assert (p <= 0.05).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 120)
    assert (p > 0.05) == pytest.approx((low < 0) & (high > 0))


def test_one_seed_has_no_test() -> None:
    (row, *_) = inner_rows(inner({"w": np.ones((1, 2)), "a": np.zeros((1, 2))}), "w", "a", 0.95)
    assert (row["value"], row["p"], row["p_corrected"], row["low"]) == (-1, None, None, None)


def test_the_score_is_that_with_the_adapter_less_the_whole_whatever_the_order() -> None:
    known: dict[str, Any] = {"metric": "accuracy", "p": 0.3, "p_equivalent": 0.04, "seeds": 3}
    pair = {"model": "a", "other": "w", "value": 0.01, "low": -0.02, "high": 0.04}
    row = score_row(pd.DataFrame([known | pair]), "w", "a", 0.02)
    assert (row["value"], row["low"], row["high"]) == (-0.01, -0.04, 0.02)
    assert (row["margin"], row["p_equivalent"], row["measure"]) == (0.02, 0.04, "accuracy")


def test_measures_are_means_of_the_tables(made_tables: dict[str, Path]) -> None:
    names = ("probes", "attention", "similarity", "weight_change")
    sources = Sources({name: [str(made_tables[name])] for name in names})
    found = by_layer(sources, "one-nli", "accuracy", 0.95)
    assert set(found["percent"]) == {100}
    own = found[(found["model"] == "gpt-mini") & (found["variant"] == "f100-s1")]
    jsd = rows_of(made_tables, "attention", "one-nli")
    jsd = jsd[(jsd["model"] == "gpt-mini") & (jsd["variant"] == "f100-s1")]
    jsd = jsd[(jsd["measure"] == "jsd") & (jsd["layer"] == 2)]
    (row,) = own[(own["measure"] == "attention JSD") & (own["layer"] == 2)].to_dict("records")
    assert row["value"] == pytest.approx(jsd["value"].mean())
    far = np.maximum(jsd["high"] - jsd["value"], jsd["value"] - jsd["low"])
    assert row["error"] == pytest.approx(far.mean() / 1.959964)
    assert row["depth"] == 1
    assert {"CKA, joint view", "linear probe, joint view", "change of weights"} <= {*own["measure"]}


def test_the_figure_has_the_score_and_each_measure(made_tables: dict[str, Path]) -> None:
    table = rows_of(made_tables, "adapters", "one-nli")
    drawn = figure.draw(table)
    labels = [axes.get_ylabel().replace("\n", " ") for axes in drawn.axes]
    assert labels == [
        "Accuracy", "linear probe, joint view", "attention JSD", "CKA, joint view",
        "change of weights",
    ]  # fmt: skip
    assert drawn.axes[0].get_title() == "gpt-mini\nless minilm"


def test_what_is_said_depends_on_whether_the_scores_are_equal() -> None:
    rng = np.random.default_rng(0)
    whole, adapter = rng.normal(0.3, 0.002, (2, 5, 4))
    adapter[:, 2] -= 0.1
    known = {"model": "w", "adapter": "a", "task": "t"}
    inside = [known | row for row in inner_rows(inner({"w": whole, "a": adapter}), "w", "a", 0.95)]
    score = {"measure": "accuracy", "value": 0.001, "low": -0.01, "high": 0.012, "margin": 0.02,
             "p_equivalent": 0.01, "seeds": 5, **known}  # fmt: skip
    alike, apart = adapter_findings(pd.DataFrame([score, *inside]))
    assert alike == (
        "a and w score alike: the difference, 0.001 (-0.010 to 0.012), is within 0.02 "
        "(p = 0.010 for equivalence)."
    )
    assert apart.startswith("Inside, a and w differ in the mean of all layers of attention JSD (")
    assert apart.endswith("; layer 2).")
    _, doubt = adapter_findings(pd.DataFrame([score | {"p_equivalent": 0.3}, *inside]))
    assert "not shown to be equal" in doubt
    few = pd.DataFrame([score | {"seeds": 2}, *inside])
    assert adapter_findings(few) == [
        "Nothing is said of adapters with fewer than 3 seeds: see the figures."
    ]


def test_a_model_with_an_adapter_is_compared_with_the_whole_one_of_its_weights() -> None:
    config: dict[str, Any] = read_yaml(ROOT / "config" / "config.yaml")
    models = config["models"]
    lora = {"kind": "lora", "rank": 4, "alpha": 8}
    models["lora"] = {**models["minilm"], "adapter": lora}
    other = {**models["minilm"]["source"], "folder": "elsewhere"}
    models["alone"] = {**models["minilm"], "source": other, "adapter": lora}
    config["models"] = models = {"again": {**models["minilm"], "training_seed": 1}, **models}
    study = validate(config)
    assert relations.adapter_pairs(study) == [("minilm", "lora")]
    assert "adapter-pairs" in jobs.analyses(study)
    models["lora"]["adapter"] = None
    assert "adapter-pairs" not in jobs.analyses(validate(config))
