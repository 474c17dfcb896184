"""Findings on which attention heads matter: whether they change more, and whether seeds agree."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from layerscope.core.measures import LEVEL
from layerscope.summary.intervals import LEAST_SEEDS, listed, over_seeds, supported


def head_importance_findings(rows: pd.DataFrame, confidence: float) -> list[str]:
    """Whether heads that matter more for the loss change more, within layers.

    A claim needs both draws: p of permuting heads, and the interval of the mean over seeds.

    Args:
        rows: one task's rows of the table of correlations between heads.
        confidence: of intervals over seeds.
    """
    means = rows[rows["layer"].isna()]
    both = means[means["statistic"] == "importance-change"]
    if rows["seed"].nunique() < LEAST_SEEDS:
        few = f"Nothing is claimed of which heads matter with fewer than {LEAST_SEEDS} seeds"
        return [f"{few}: see the figures."] if len(rows) else []
    return [*_related(both, confidence), *_agreement(means)]


def _related(rows: pd.DataFrame, confidence: float) -> Iterator[str]:
    """Of each model whose importance and change are significantly related a sentence."""
    alike, unknown = [], []
    for model, own in rows.groupby("model", sort=False):
        by_seed = own.loc[own["seed"].notna(), "value"]
        (p,) = own.loc[own["seed"].isna(), "p"]
        if by_seed.isna().any() or pd.isna(p):
            unknown.append(str(model))
            continue
        found = over_seeds(by_seed, confidence)
        if not supported(found) or p > LEVEL:
            alike.append(f"{model}, ρ = {found.value:.2f}")
            continue
        yield (
            f"In {model}, heads on which the loss depends more change "
            f"{'more' if found.value > 0 else 'less'} in fine-tuning than other heads of their "
            f"layer: ρ = {found} over {len(by_seed)} seeds, p = {p:.2g} (permutation of heads "
            "within layers)."
        )
    if alike:
        yield (
            "No significant rank correlation between the importance of heads and their change, "
            f"within layers: {listed(alike)}."
        )
    if unknown:
        yield (
            "Importance and change of heads are not compared where layers have fewer than three "
            f"heads, or heads that are all alike: {listed(unknown)}."
        )


def _agreement(means: pd.DataFrame) -> Iterator[str]:
    """What a correlation of importance and change can be compared with."""
    pairs = means[means["seed"].isna()].dropna(subset=["value"])
    for statistic, what in (("importance-seeds", "matter"), ("change-seeds", "change")):
        own = pairs[pairs["statistic"] == statistic]
        if len(own):
            named = listed(f"{row.model} {row.value:.2f}" for row in own.itertuples())
            yield (
                f"For comparison, the rank correlation of two seeds in which heads of a layer "
                f"{what} most (mean over pairs of seeds, not tested): {named}."
            )
