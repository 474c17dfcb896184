"""Bootstrap intervals and rank correlation, in NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def cluster_index(groups: Sequence[Any]) -> list[Integers]:
    """Row numbers of each group, groups in order of first appearance."""
    order: dict[Any, list[int]] = {}
    for row, group in enumerate(groups):
        order.setdefault(group, []).append(row)
    return [np.asarray(rows, dtype=np.int64) for rows in order.values()]


def group_sums(counts: Floats, groups: Sequence[Any]) -> Floats:
    """Sum rows of `counts` (rows x columns) within each group, in order of first appearance."""
    codes: dict[Any, int] = {}
    index = np.asarray([codes.setdefault(group, len(codes)) for group in groups], dtype=np.int64)
    sums = np.zeros((len(codes), counts.shape[1]))
    np.add.at(sums, index, counts)
    return sums


def bootstrap_weights(clusters: int, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each cluster is drawn in each resample: resamples x clusters; rows sum to clusters.

    A statistic of summed counts is then one matrix product for all resamples (Efron and
    Tibshirani 1993, chapter 6; clusters are drawn whole).
    """
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples).astype(float)


def interval(values: npt.ArrayLike, confidence: float) -> tuple[float, float]:
    """Percentile interval of bootstrap values; NaN values are left out; NaN if none is left."""
    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    if array.size == 0:
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(array, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_counts(
    counts: Sequence[Floats],
    statistic: Callable[[Floats], Floats],
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """A statistic of summed counts, averaged over seeds, with a bootstrap interval.

    Clusters of examples and, where there are several, seeds are drawn with replacement. All seeds
    were tested on the same clusters, so a resample draws the same clusters for each.

    Args:
        counts: an array for each seed, clusters x columns, the same clusters in the same order.
        statistic: summed counts (... x columns) to values (...).
        resamples: number of resamples.
        confidence: of the interval, such as 0.95.
        rng: source of randomness.

    Returns:
        The value, and the low and high end of its interval.
    """
    value = float(np.mean([statistic(c.sum(axis=0)) for c in counts]))
    weights = bootstrap_weights(len(counts[0]), resamples, rng)
    values = np.stack([statistic(weights @ c) for c in counts])  # seeds x resamples
    draws = rng.integers(len(counts), size=(len(counts), resamples))
    return value, *interval(np.take_along_axis(values, draws, axis=0).mean(axis=0), confidence)


def bootstrap_mean(
    values: Floats, resamples: int, confidence: float, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Means over rows with percentile intervals, all columns from the same resamples.

    Args:
        values: rows x columns.

    Returns:
        Mean, low and high, each of length columns.
    """
    drawn = bootstrap_weights(len(values), resamples, rng) @ values / len(values)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return values.mean(axis=0), low, high


def ranks(values: npt.ArrayLike) -> Floats:
    """Ranks from 1, ties averaged; all NaN if a value is NaN, which has no rank."""
    array = np.asarray(values, dtype=float)
    if np.isnan(array).any():
        return np.full(len(array), np.nan)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Spearman's rank correlation.

    NaN if either side is constant, has under three values, or holds a NaN.
    """
    a, b = ranks(x), ranks(y)
    if len(a) < 3:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float("nan")


def slope(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Least-squares slope of y on x; NaN if x is constant or empty."""
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(a) == 0 or a.min() == a.max():  # exact: a rounded mean leaves a constant some scatter
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    scale = float(a @ a)
    return float(a @ b) / scale if scale > 0 else float("nan")
