"""Bootstrap intervals and rank correlation, in NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


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


Statistic = Callable[[Floats], Floats]  # summed counts (... x columns) to values (...)


def resampled(
    counts: Sequence[Floats], statistic: Statistic, resamples: int, rng: np.random.Generator
) -> Floats:
    """A statistic of summed counts, averaged over seeds, in each resample: length resamples.

    Clusters of examples and, where there are several, seeds are drawn with replacement. All seeds
    were tested on the same clusters, so a resample draws the same clusters for each.

    Args:
        counts: an array for each seed, clusters x columns, the same clusters in the same order.
        statistic: of summed counts.
        resamples: number of resamples.
        rng: source of randomness.
    """
    weights = bootstrap_weights(len(counts[0]), resamples, rng)
    values = np.stack([statistic(weights @ c) for c in counts])  # seeds x resamples
    draws = rng.integers(len(counts), size=(len(counts), resamples))
    return np.take_along_axis(values, draws, axis=0).mean(axis=0)


def mean_over_seeds(counts: Sequence[Floats], statistic: Statistic) -> float:
    """A statistic of summed counts, averaged over seeds."""
    return float(np.mean([statistic(c.sum(axis=0)) for c in counts]))


def bootstrap_counts(
    counts: Sequence[Floats],
    statistic: Statistic,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """`mean_over_seeds` with the interval of `resampled`: the value, its low and high end."""
    values = resampled(counts, statistic, resamples, rng)
    return mean_over_seeds(counts, statistic), *interval(values, confidence)


def paired_difference(
    before: Sequence[Floats],
    after: Sequence[Floats],
    statistic: Statistic,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """How much a statistic is larger after than before, with a bootstrap interval.

    Both sides were tested on the same clusters with the same seeds, and a resample draws the same
    of both.

    Args:
        before, after: an array for each seed, clusters x columns, in the same order.
        statistic, resamples, confidence, rng: as in `bootstrap_counts`.
    """
    columns = before[0].shape[1]

    def change(sums: Floats) -> Floats:
        return statistic(sums[..., columns:]) - statistic(sums[..., :columns])

    both = [np.hstack(pair) for pair in zip(before, after, strict=True)]
    return bootstrap_counts(both, change, resamples, confidence, rng)


def unpaired_difference(
    before: Sequence[Floats],
    after: Sequence[Floats],
    statistic: Statistic,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """The same of sides that share neither clusters nor seeds: each is drawn by itself."""
    drawn = [resampled(side, statistic, resamples, rng) for side in (before, after)]
    value = mean_over_seeds(after, statistic) - mean_over_seeds(before, statistic)
    return value, *interval(drawn[1] - drawn[0], confidence)


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
