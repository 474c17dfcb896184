"""Findings inside models: of probes, similarity and heads, where seeds agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from summarised import Row, findings

from layerscope.summary.heads import head_findings
from layerscope.summary.intervals import Interval, over_seeds
from layerscope.summary.layers import input_findings, probe_findings, similarity_findings


def test_the_interval_over_seeds_is_students() -> None:
    values = list(np.random.default_rng(0).normal(0.3, 0.1, size=6))
    expected = ttest_1samp(values, 0).confidence_interval(0.9)
    found = over_seeds(values, 0.9)
    assert found == pytest.approx((np.mean(values), expected.low, expected.high))
    assert over_seeds([0.5], 0.95) == Interval(0.5, -math.inf, math.inf)


def last_layers(
    gain: tuple[float, float, float], view: str = "joint", split: str = "validation"
) -> list[Row]:
    """Rows of three variants' last layers, and of their mean with its gain; others gain more."""
    keys = {"task": "t", "model": "bert", "percent": 100, "probe": "linear", "view": view,
            "rows": split, "layer": 4, "depth": 1.0, "metric": "accuracy",
            "value": 0.7}  # fmt: skip
    seeds = [{**keys, "variant": f"f100-s{seed}", "seed": seed} for seed in range(3)]
    names = ("gain", "gain_low", "gain_high")
    mean = {**keys, "variant": "f100", "seed": None, **dict(zip(names, gain, strict=True))}
    others = [
        {**mean, "layer": layer, "depth": depth} | dict.fromkeys(names, 0.6)
        for layer, depth in ((3, 0.75), (None, None))
    ]
    return [*seeds, mean, *others]


def test_a_probe_s_gain_is_claimed_where_its_interval_excludes_0() -> None:
    found, limits = findings(probe_findings, last_layers((0.2, 0.1, 0.3)), "accuracy")
    assert limits.startswith("Of a probe with `row_draws: 0`")
    assert found.startswith(
        "Fine-tuning on 100 % of the data significantly changes the last layer's score of the "
        "linear probe (joint)"
    )
    assert "bert by 0.200 (0.100 to 0.300)" in found
    (silent,) = findings(probe_findings, last_layers((0.2, -0.1, 0.5)), "accuracy")
    assert silent.startswith("Fine-tuning does not significantly change")
    warning, told, _ = findings(
        probe_findings, last_layers((0.2, 0.1, 0.3), split="train"), "accuracy"
    )
    assert "what was memorised" in warning
    assert "bert by 0.200" in told
    without = [row for row in last_layers((0.2, 0.1, 0.3)) if row["layer"] != 4]
    seeds = [{**row, "layer": 3, "depth": 0.75} for row in last_layers((0.2, 0.1, 0.3))[:3]]
    (missing,) = findings(probe_findings, [*seeds, *without], "accuracy")
    assert missing.startswith("Nothing is said of the last layer of bert, which is not among those")
    few = [row for row in last_layers((0.2, 0.1, 0.3)) if row["seed"] != 2]
    (few_seeds,) = findings(probe_findings, few, "accuracy")
    assert few_seeds.startswith("With fewer than 3 seeds nothing is said of probes")


def of_views(views: dict[str, list[float]], model: str = "gpt", before: float = 0.9) -> list[Row]:
    """Scores of the last of two layers, a seed each, after fine-tuning; and one before."""
    scores = [
        (view, f"f100-s{seed}", 100, seed, value)
        for view, values in views.items()
        for seed, value in enumerate(values)
    ]
    scores += [(view, "pretrained", 0, None, before) for view in views]
    return [
        {"task": "t", "model": model, "variant": variant, "percent": percent, "seed": seed,
         "probe": "linear", "view": view, "layer": layer, "metric": "accuracy",
         "value": value - 0.3 * (layer == 0)}
        for view, variant, percent, seed, value in scores
        for layer in range(2)
    ]  # fmt: skip


def test_pooling_and_features_of_decoders_differ_where_seeds_agree() -> None:
    rows = of_views(
        {"joint": [0.5, 0.51, 0.52], "joint-last": [0.6, 0.62, 0.61],
         "separate": [0.5, 0.4, 0.6], "combined": [0.6, 0.3, 0.55]}
    )  # fmt: skip
    told, silent, caveat = findings(input_findings, rows, {"gpt"}, "accuracy", 0.95)
    assert told.startswith(
        "Over seeds, the scores of the linear probe on joint-last and on joint, "
    )
    assert "differ: gpt by 0.100 (0.075 to 0.125)" in told
    assert silent == (
        "Over seeds, the scores of the linear probe on combined and on separate, after fine-tuning "
        "on 100 % do not differ: gpt."
    )
    assert "over seeds alone" in caveat
    assert findings(input_findings, rows, {"bert"}, "accuracy", 0.95) == []
    two = [row for row in rows if row["seed"] != 2]
    assert findings(input_findings, two, {"gpt"}, "accuracy", 0.95) == []
    less = findings(input_findings,
        of_views({"joint": [0.6, 0.62, 0.61], "joint-last": [0.5, 0.51, 0.52]}),
        {"gpt"}, "accuracy", 0.95,
    )  # fmt: skip
    assert "gpt by -0.100" in less[0]


def test_other_poolings_and_features_stay_out_of_the_other_findings() -> None:
    rows = last_layers((0.2, 0.1, 0.3))
    more = [
        row for view in ("joint-last", "combined") for row in last_layers((0.3, 0.2, 0.4), view)
    ]
    expected = findings(probe_findings, rows, "accuracy")
    assert len(expected) == 2
    assert findings(probe_findings, rows + more, "accuracy") == expected


def similarity(ends: list[float], layers: tuple[int, ...] = (0, 1, 2), last: int = 2) -> list[Row]:
    return [
        {"task": "t", "model": "bert", "variant": f"f100-s{seed}", "percent": 100, "seed": seed,
         "view": "word", "layer": layer, "depth": layer / last, "measure": "cka", "value": value}
        for seed, end in enumerate(ends)
        for layer, value in zip(layers, [1.0, 0.9, end], strict=True)
    ]  # fmt: skip


def test_the_layer_that_moved_is_named_where_seeds_agree() -> None:
    (found,) = findings(similarity_findings, similarity([0.30, 0.31, 0.29]), 0.95)
    assert found.startswith(
        "In bert, the last layer changes more: CKA with the pre-trained model is 0.900"
    )
    (silent,) = findings(similarity_findings, similarity([0.2, 0.9, 1.0]), 0.95)
    assert silent.endswith("do not change differently over seeds: bert.")
    (found,) = findings(similarity_findings, similarity([0.30, 0.31, 0.29], (0, 8, 16), 24), 0.95)
    assert found.startswith(
        "In bert, layer 16 changes more: CKA with the pre-trained model is 0.900 at layer 8 and "
        "0.300 at layer 16"
    )


def heads(model: str, moved: list[float], ceiling: float | None = 0.1) -> list[Row]:
    """Two heads a seed: one as far as `moved` says between 0.1 and 0.5, one that stayed."""
    return [
        {"task": "t", "model": model, "variant": f"f100-s{seed}", "percent": 100, "seed": seed,
         "layer": 1, "head": head, "jsd_low": 0.08 + 0.4 * value, "ceiling_high": ceiling,
         "null": 0.5, "moved": value}
        for seed, most in enumerate(moved)
        for head, value in enumerate([most, 0.0])
    ]  # fmt: skip


def test_heads_are_counted_where_every_seed_moves_them() -> None:
    (found,) = findings(head_findings, heads("bert", [0.5, 0.6, 0.5]), 0.95)
    assert found.endswith("in every seed: bert 1 of 2.")
    (far,) = findings(head_findings, heads("bert", [1.1, 1.2, 1.1]), 0.95)
    assert far.endswith("bert 1 of 2, 1 of them by more than the heads of a layer differ.")
    (one_seed_did_not,) = findings(head_findings, heads("bert", [0.5, 0.6, 0.0]), 0.95)
    assert one_seed_did_not.endswith("bert 0 of 2.")
    (unknown,) = findings(head_findings, heads("bert", [0.5], None), 0.95)
    assert unknown.startswith("With 1 seed nothing is said of heads")


def test_whose_heads_move_most_needs_seeds_that_agree() -> None:
    rows = [
        *heads("gpt", [0.30, 0.31, 0.29]), *heads("bert", [0.80, 0.82, 0.81]),
        *heads("biobert", [0.7, 0.9, 0.8]),
    ]  # fmt: skip
    _, found = findings(head_findings, rows, 0.95)
    assert "the heads of bert change most: 0.405 (" in found
    assert "Significantly less: gpt, 0.150 (" in found
    assert "biobert" not in found
    wide = [*heads("gpt", [0.1, 0.6, 0.3]), *heads("bert", [0.2, 0.9, 0.6])]
    assert (
        findings(head_findings, wide, 0.95)[1]
        == "No model's heads change significantly more than the others' on average."
    )
