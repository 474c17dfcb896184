"""Findings on what trainings vary by, and which models differ by more than that."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from layerscope.core.measures import LEVEL
from layerscope.summary.intervals import LEAST_SEEDS, Interval, listed, number

#: Sources whose standard deviations are compared, in the words of a sentence.
_WORDS = {"training seed": "the training seed", "training sample": "the training sample"}


def variance_findings(rows: pd.DataFrame, apart: pd.DataFrame) -> list[str]:
    """Standard deviations with intervals, and differences that exceed all that was drawn.

    Args:
        rows, apart: one task's rows of the tables of variance and of differences.
    """
    if rows[["trainings", "samples"]].min(axis=None) < LEAST_SEEDS:
        return [
            f"Nothing is said of variance with fewer than {LEAST_SEEDS} training seeds and "
            f"{LEAST_SEEDS} samples: see the figures."
        ]
    return [*_scores(rows), *_apart(apart)]


def _scores(rows: pd.DataFrame) -> Iterator[str]:
    """Of each model, the standard deviations of its score."""
    for model, own in rows[rows["measure"] == "score"].groupby("model", sort=False):
        parts = {row.source: Interval(row.value, row.low, row.high) for row in own.itertuples()}
        known = own.iloc[0]
        seeds = number(int(known["trainings"]), "training seed")
        yield (
            f"The score of {model} has a standard deviation of {parts['one training']} over "
            f"trainings: {_WORDS['training seed']} accounts for {parts['training seed']}, "
            f"{_WORDS['training sample']} for {parts['training sample']} ({seeds}, each on "
            f"{number(int(known['samples']), 'sample')})."
        )


def _apart(rows: pd.DataFrame) -> Iterator[str]:
    for (model, other), own in rows.groupby(["model", "other"], sort=False):
        own = own[own["p_corrected"].notna()]
        far = own[own["p_corrected"] <= LEVEL]
        named = f"{other} and {model}"
        if far.empty:
            yield (
                f"{named} differ in none of {len(own)} measures by more than seeds, samples of "
                "this training data, test examples and probe rows would give."
            )
            continue
        parts = [
            f"{row.measure} ({Interval(row.value, row.low, row.high)})" for row in far.itertuples()
        ]
        yield (
            f"Beyond seeds, samples of this training data, test examples and probe rows, {named} "
            f"differ in {len(far)} of {len(own)} measures: {listed(parts)}."
        )
