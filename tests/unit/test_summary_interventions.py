"""Findings on masked heads and erased labels, against random sets and controls of equal edit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from layerscope.core.formats import SCHEMAS
from layerscope.summary.interventions import intervention_findings


def rows(
    most: float, scatter: float, erased: float, seeds: int = 3, draws: int = 4
) -> pd.DataFrame:
    """Costs of the most changed heads and of an erasure; random ones cost 0.05, give or take."""
    rng, found = np.random.default_rng(0), []

    def add(seed: int, cost: float, **known: object) -> None:
        every = dict.fromkeys(SCHEMAS["interventions-table"]) | known
        every |= {"task": "t", "model": "bert", "seed": seed, "metric": "accuracy"}
        found.append(every | {"change": -cost + 0.002 * rng.standard_normal()})

    for seed in range(seeds):
        for ablation, share in (("zero", 25), ("zero", 50), ("mean", 25)):
            known = {"ablation": ablation, "share": share}
            cost = most if share == 25 else 0.0
            add(seed, cost if ablation == "zero" else 0.05, intervention="heads-most", **known)
            add(seed, 0.05, intervention="heads-least", **known)
            for draw in range(draws):
                random = 0.05 + scatter * (draw - (draws - 1) / 2)
                add(seed, random, intervention="heads-random", draw=draw, **known)
        for fitted in ("read", "mean"):
            for layer, factor in ((1, 0.5), (2, 1.5)):
                known = {"fitted": fitted, "layer": layer, "edit": 0.4, "probe_before": 0.6}
                known |= {"probe_chance": 0.34, "probe": 0.35}
                cost = factor * (erased if fitted == "read" else 0.02)
                add(seed, cost, intervention="erased", **known)
                known |= {"probe": 0.58, "edit": 0.41}
                add(seed, 0.02 * factor, intervention="erased-control", **known)
    return pd.DataFrame(found)


def test_costs_outside_the_random_sets_are_claimed_and_all_else_is_listed() -> None:
    heads, alike, erased, kept, left = intervention_findings(
        rows(0.25, 0.02, 0.3), "accuracy", 0.95
    )
    assert heads.startswith(
        "In bert, masking the 25 % of each layer's heads that changed most (set to 0) lowers the "
        "score by 0.2"
    )
    assert heads.endswith("more than masking random heads of the same layers.")
    assert alike == (
        "No significant difference from random heads of the same layers: bert, changed least, set "
        "to 0; bert, changed most, set to their means; and bert, changed least, set to their means."
    )
    assert erased.startswith(
        "In bert, erasing the label after a layer (at the token that the head reads) lowers the "
        "score by 0.28"
    )
    assert kept.endswith("than its control: bert, at all tokens, fitted to their mean.")
    assert left.startswith(
        "In bert, after the label is erased at the token that the head reads, a fresh linear probe "
        "of that token still scores 0.350 (before 0.600, after the control 0.580, by the commonest "
        "label 0.340;"
    )
    assert "moves the token by 0.40 of its deviation, the control by 0.41." in left


def test_a_set_within_the_spread_of_random_ones_is_not_claimed_though_seeds_agree() -> None:
    alike, *_ = intervention_findings(rows(0.25, 0.1, 0.3), "accuracy", 0.95)
    assert "bert, changed most, set to 0" in alike


def test_few_seeds_or_draws_allow_no_claim() -> None:
    few, left = intervention_findings(rows(0.25, 0.02, 0.3, seeds=2), "accuracy", 0.95)
    assert few.startswith("Nothing is claimed of interventions with fewer than 3 seeds")
    assert left.startswith("In bert, after the label is erased")
    heads, *_ = intervention_findings(rows(0.25, 0.02, 0.3, draws=3), "accuracy", 0.95)
    assert heads == "Nothing is claimed of masked heads with fewer than 4 random draws."
    assert intervention_findings(rows(0.25, 0.02, 0.3), "macro_f1", 0.95) == []
