"""Findings on heads that matter: claimed where heads and seeds were drawn, and both allow it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from layerscope.summary.head_importance import head_importance_findings


def rows(model: str, values: Sequence[float], p: float) -> pd.DataFrame:
    """Correlations of importance and change by seed, and of two seeds."""
    known = {"task": "t", "model": model, "layer": None, "other_seed": None, "p": None}
    both = known | {"statistic": "importance-change"}
    found = [both | {"seed": seed, "value": value} for seed, value in enumerate(values)]
    found += [both | {"seed": seed, "layer": 1, "value": -1.0} for seed in range(len(values))]
    found.append(both | {"seed": None, "value": sum(values) / len(values), "p": p})
    found.append(known | {"statistic": "importance-seeds", "seed": None, "value": 0.8})
    return pd.DataFrame(found).astype({"seed": float, "layer": float, "p": float})


def test_a_claim_needs_heads_and_seeds() -> None:
    given = pd.concat(
        [
            rows("more", (0.4, 0.41, 0.42), 0.0004),
            rows("less", (-0.4, -0.41, -0.42), 0.03),
            rows("seeds", (0.9, 0.1, 0.3), 0.001),
            rows("heads", (0.4, 0.41, 0.42), 0.051),
            rows("few", (float("nan"),) * 3, float("nan")),
        ]
    )
    more, less, alike, few, agreed = head_importance_findings(given, 0.95)
    assert more == (
        "In more, heads on which the loss depends more change more in fine-tuning than other heads "
        "of their layer: ρ = 0.410 (0.385 to 0.435) over 3 seeds, p = 0.0004 (permutation of heads "
        "within layers)."
    )
    assert less.startswith("In less, heads on which the loss depends more change less in ")
    assert alike.endswith("within layers: seeds, ρ = 0.43; and heads, ρ = 0.41.")
    assert few.endswith("heads that are all alike: few.")
    assert agreed.endswith(
        "most (mean over pairs of seeds, not tested): "
        "more 0.80, less 0.80, seeds 0.80, heads 0.80 and few 0.80."
    )


def test_nothing_is_said_with_few_seeds_or_without_heads() -> None:
    (few,) = head_importance_findings(rows("m", (0.4, 0.4), 0.001), 0.95)
    assert (
        few == "Nothing is claimed of which heads matter with fewer than 3 seeds: see the figures."
    )
    assert head_importance_findings(rows("m", (0.4,), 0.001)[:0], 0.95) == []
    given = rows("m", (0.4, 0.4, 0.4), 0.001)
    without = given.assign(statistic="importance-seeds")
    assert all("mean over pairs" in text for text in head_importance_findings(without, 0.95))
