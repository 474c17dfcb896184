"""Findings on usable information: of the last layer, where intervals exclude 0."""

from __future__ import annotations

import pandas as pd

from layerscope.summary.usable_information import information_findings


def rows(model: str, value: float, gain: float, seeds: int = 3) -> pd.DataFrame:
    """Before fine-tuning and after it, the mean over seeds too; half-widths of intervals are 0.1.

    At layer 1 of 2, which is not the last one, everything would be claimed.
    """
    found: list[dict[str, object]] = []
    variants: list[tuple[str, int, float]] = [("pretrained", 0, float("nan"))]
    variants += [(f"f100-s{seed}", 100, seed) for seed in range(seeds)]
    variants.append(("f100", 100, float("nan")))
    for variant, percent, seed in variants:
        for layer, (level, added) in {1: (0.9, 0.9), 2: (value, gain)}.items():
            known = {"model": model, "variant": variant, "percent": percent, "seed": seed}
            known |= {"view": "joint", "family": "mlp", "layer": layer, "depth": layer / 2}
            known |= {"value": level, "low": level - 0.1, "high": level + 0.1}
            known |= {"gain": added, "gain_low": added - 0.1, "gain_high": added + 0.1}
            found.append(known | {"label_entropy": 1.5})
    return pd.DataFrame(found)


def test_claims_are_of_the_last_layer_where_an_interval_excludes_nothing() -> None:
    both = pd.concat([rows("bert", 0.3, 0.2), rows("gpt", -0.2, -0.05)])
    before, not_before, after, not_after, scale = information_findings(both)
    assert "perceptrons (joint) can use information" in before
    assert before.endswith("last layer: bert 0.300 (0.200 to 0.400) bits.")
    assert not_before.endswith(
        "not shown to use any information about the label in the last layer: gpt."
    )
    assert after.endswith("can use of the last layer: bert by 0.200 (0.100 to 0.300) bits.")
    assert not_after.endswith("perceptrons (joint) can use of the last layer: gpt.")
    assert "1.500 bits without vectors" in scale


def test_nothing_is_said_with_two_seeds() -> None:
    (found,) = information_findings(rows("bert", 0.3, 0.2, seeds=2))
    assert found.startswith("Nothing is said of usable information with fewer than 3 seeds")
