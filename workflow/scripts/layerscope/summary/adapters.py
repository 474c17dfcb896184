"""Findings on models that are fine-tuned whole and with an adapter."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from layerscope.core.measures import LEVEL
from layerscope.summary.intervals import LEAST_SEEDS, Interval, listed


def adapter_findings(rows: pd.DataFrame) -> list[str]:
    """Whether each pair scores alike, and in what it differs inside all the same.

    Args:
        rows: one task's rows of the table of adapters.
    """
    if rows["seeds"].min() < LEAST_SEEDS:
        return [
            f"Nothing is said of adapters with fewer than {LEAST_SEEDS} seeds: see the figures."
        ]
    return [text for _, own in rows.groupby("adapter", sort=False) for text in _of_pair(own)]


def _of_pair(rows: pd.DataFrame) -> Iterator[str]:
    score, inner = rows.iloc[0], rows.iloc[1:]
    both = f"{score['adapter']} and {score['model']}"
    found = Interval(score["value"], score["low"], score["high"])
    equal = score["p_equivalent"] <= LEVEL
    if equal:
        yield (
            f"{both} score alike: the difference, {found}, is within {score['margin']:g} (p = "
            f"{score['p_equivalent']:.3f} for equivalence)."
        )
    means = inner[inner["layer"].isna() & inner["p_corrected"].notna()]
    apart = means[means["p_corrected"] <= LEVEL]
    if apart.empty:
        yield (
            f"{both} differ significantly in none of {len(means)} inner measures, as means of "
            "all layers."
        )
    else:
        parts = [
            f"{row.measure} ({row.of_adapter:.3f} with the adapter, {row.of_whole:.3f} whole"
            f"{_layers(inner[inner['measure'] == row.measure])})"
            for row in apart.itertuples()
        ]
        yield f"Inside, {both} differ in the mean of all layers of {listed(parts)}."
    if not equal:
        yield (
            f"The scores of {both} are not shown to be equal (difference {found}; "
            f"{score['margin']:g} counts as none), so what differs inside may go with the score."
        )


def _layers(rows: pd.DataFrame) -> str:
    """In which layers a measure differs, in words that follow others."""
    layers = rows.dropna(subset="layer")
    apart = [int(layer) for layer in layers.loc[layers["p_corrected"] <= LEVEL, "layer"]]
    if not apart:
        return "; no single layer after correction"
    if len(apart) == len(layers):
        return "; every layer"
    return f"; {'layers' if len(apart) > 1 else 'layer'} {', '.join(map(str, apart))}"
