"""Rank correlation within strata, and its test by permutation of whole units, in NumPy alone.

A unit is what is independent and exchangeable: a model with all that is derived from it. A stratum
is what is conditioned on: a training fraction. Arrays are units x strata.
"""

from __future__ import annotations

import math
from itertools import permutations
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from layerscope.statistics.inference import Floats, Integers

#: Units below which nothing is claimed: with five, only a perfect order is significant at 5 %.
LEAST_UNITS = 6
#: Orders of units up to which all are gone through: 7!
EXACT = 5040
#: Permuted correlations this close to the observed one are the same up to rounding.
SAME = 1e-9


def few_models(units: int) -> str:
    """Why nothing is claimed of so few models, as a sentence; empty if there are enough."""
    if units >= LEAST_UNITS:
        return ""
    return (
        f"With {units} independent model{'s' if units != 1 else ''}, nothing can be concluded "
        f"about models in general; at least {LEAST_UNITS} are needed."
    )


def _standard_ranks(values: Floats) -> Floats:
    """Ranks of units within each stratum, centred and of length 1; 0 where all are equal.

    Args:
        values: ... x units x strata.
    """
    # Rounding leaves specks of what is constant.
    speck = 1e-12 * np.abs(values).max(axis=-2, keepdims=True, initial=0)
    apart = values[..., :, None, :] - values[..., None, :, :]
    centred = np.sign(np.where(np.abs(apart) > speck[..., None, :], apart, 0)).sum(axis=-2) / 2
    length = np.sqrt((centred**2).sum(axis=-2, keepdims=True))
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)


def varies(values: Floats) -> bool:
    """Whether units differ in any stratum; `values` are units x strata."""
    return bool(_standard_ranks(values).any())


def rank_products(x: Floats, y: Floats) -> Floats:
    """What unit i's x and unit j's y add to the correlation: ... x units x units, or NaN."""
    a, b = _standard_ranks(x), _standard_ranks(y)
    both = (a.any(axis=-2) & b.any(axis=-2)).sum(axis=-1)[..., None, None]
    if x.shape[-2] < 3:
        both = np.zeros_like(both)
    sums = a @ np.swapaxes(b, -1, -2)
    return np.divide(sums, both, out=np.full(sums.shape, np.nan), where=both > 0)


def stratified_spearman(x: Floats, y: Floats) -> Floats:
    """Spearman's correlation of units within strata: the mean over strata in which both vary.

    What only differs between strata cannot contribute. NaN with fewer than three units, or if there
    is no such stratum.

    Args:
        x: ... x units x strata.
        y: units x strata.
    """
    correlation = np.trace(rank_products(x, y), axis1=-2, axis2=-1)
    return correlation if len(y) else np.full_like(correlation, np.nan)


def orders_of(units: int, resamples: int, seed: int) -> Integers:
    """Orders of units: all of them where they are few, random ones otherwise.

    Returns:
        Orders x units. The first is that of the units as they are.
    """
    if math.factorial(units) <= EXACT:
        return np.asarray(list(permutations(range(units))), dtype=np.int64)
    same = np.tile(np.arange(units), (resamples + 1, 1))
    same[1:] = np.random.default_rng(seed).permuted(same[1:], axis=1)
    return same


class Tested(NamedTuple):
    """Correlations with their p values: arrays, an entry for each measure.

    Attributes:
        value: correlation within strata; NaN if undefined, as is then the rest.
        p: two-sided, of each measure by itself.
        corrected: for the number of measures.
        deviation: of the correlation under the null hypothesis.
        critical: the absolute correlation above which `corrected` is at most `level`.
    """

    value: Floats
    p: Floats
    corrected: Floats
    deviation: Floats
    critical: float


def permutation_test(measures: Floats, score: Floats, orders: Integers, level: float) -> Tested:
    """Test whether units' profiles of measures and of the score are independent.

    A unit's profile of the score, over all strata, is given to another unit, in all measures at
    once. Under the null hypothesis that both kinds of profile are independent and units are
    exchangeable, every order is equally likely, whatever the effects of units and strata
    (permutation of units: Pitman 1937; stratified ranks: van Elteren 1960). The observed order
    counts as one, so p is never 0 (Phipson and Smyth 2010). The correction for several measures is
    the single-step maximum of Westfall and Young (1993), which allows for their correlation.

    Args:
        measures: measures x units x strata, without gaps.
        score: units x strata, without gaps.
        orders: as from `orders_of`.
        level: of `critical`.
    """
    pairs = rank_products(measures, score)
    units = score.shape[0]
    value = np.trace(pairs, axis1=1, axis2=2)
    deviation = np.sqrt((pairs**2).sum(axis=(1, 2)) / max(units - 1, 1))
    p, largest = np.full(len(value), np.nan), np.zeros(len(orders))
    for at in np.flatnonzero(np.isfinite(value)):
        permuted = np.abs(pairs[at][np.arange(units), orders].sum(axis=1))
        p[at] = np.mean(permuted >= abs(value[at]) - SAME)
        largest = np.maximum(largest, permuted)
    largest.sort()
    reached = (len(largest) - np.searchsorted(largest, np.abs(value) - SAME)) / len(largest)
    far = largest[math.ceil((1 - level) * len(largest) - SAME) - 1]
    return Tested(value, p, np.where(np.isnan(value), np.nan, reached), deviation, float(far))


def spearman_interval(
    value: float, deviation: float, units: int, confidence: float
) -> tuple[float, float]:
    """Interval of a stratified rank correlation, by Fisher's transformation.

    The standard error is that of Bonett and Wright (2000, Psychometrika 65, 23-28) for one stratum,
    times the ratio of the deviation under the null hypothesis to that of one stratum: strata are
    repeated measurements of the same units and reduce the error only as far as they differ. A
    perfect correlation is taken as halfway to the next one. Simulated coverage is in
    docs/methods.md.
    """
    if units < LEAST_UNITS or not math.isfinite(value):
        return float("nan"), float("nan")
    ratio = deviation * math.sqrt(units - 1)
    error = ratio * math.sqrt((1 + value**2 / 2) / (units - 3))
    far = NormalDist().inv_cdf((1 + confidence) / 2) * error
    most = 1 - 6 / (units * (units**2 - 1))
    centre = math.atanh(min(max(value, -most), most))
    return min(math.tanh(centre - far), value), max(math.tanh(centre + far), value)
