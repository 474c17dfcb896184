"""Rank correlation over heads within layers, and its test by permuting heads within each layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.statistics.inference import Floats, Integers
from layerscope.statistics.permutation import SAME, rank_products

#: Orders of heads that are drawn for a test, so that p is at least 1 / (1 + DRAWS).
DRAWS = 9999


def correlations(x: Floats, y: Floats) -> Floats:
    """Spearman's correlation over heads in each layer and seed: layers x seeds.

    NaN with fewer than three heads, or where all are equal.

    Args:
        x: layers x heads x seeds.
        y: the same heads of the same seeds.
    """
    products = rank_products(_apart(x), _apart(y))
    return np.trace(products, axis1=-2, axis2=-1)


def _apart(values: Floats) -> Floats:
    """Layers x seeds x heads x 1: each seed by itself."""
    return np.moveaxis(values, -1, 1)[..., None]


def mean_correlation(found: Floats) -> float:
    """Mean over layers, then over seeds, of those correlations that there are; NaN of none.

    Args:
        found: layers x seeds, as from `correlations`.
    """
    known = found[np.isfinite(found)]
    return float(known.mean()) if known.size else float("nan")


def orders_of_heads(shared: Sequence[int], draws: int, rng: np.random.Generator) -> Integers:
    """Random orders of the heads of a layer: draws x heads.

    Heads that read one key-value head are alike in part. So these groups change places as wholes,
    and the heads of each among themselves.

    Args:
        shared: of each head its key-value head; groups of equal size.
        draws: how many orders.
        rng: source of randomness.
    """
    groups = np.argsort(np.asarray(shared), kind="stable").reshape(len(set(shared)), -1)
    wholes = np.argsort(rng.random((draws, len(groups))), axis=1)
    inner = np.argsort(rng.random((draws, *groups.shape)), axis=2)
    moved = np.take_along_axis(groups[wholes], inner, axis=2)
    orders = np.empty((draws, groups.size), dtype=np.int64)
    orders[:, groups.ravel()] = moved.reshape(draws, -1)
    return orders


def permuted_p(x: Floats, y: Floats, shared: Sequence[int], seed: int, draws: int = DRAWS) -> float:
    """Two-sided p of the mean correlation within layers; NaN if there is none.

    Under the null hypothesis, what a head's x are in all seeds says nothing about its y, and the
    heads of a layer can change places. So each order of the heads of each layer is equally likely,
    whatever the layers and seeds have in common: heads take their y of all seeds with them. The
    observed order counts as one (Phipson and Smyth 2010).

    Args:
        x: layers x heads x seeds.
        y: the same heads of the same seeds.
        shared: of each head of a layer its key-value head.
        seed: of the orders.
        draws: of them.
    """
    products = rank_products(_apart(x), _apart(y))  # layers x seeds x heads x heads
    known = np.isfinite(products[..., :1, :1])
    if not known.any():
        return float("nan")
    sums = np.where(known, products, 0).sum(axis=1)
    rng, found = np.random.default_rng(seed), np.zeros(draws)
    places = np.arange(x.shape[1])
    for layer in sums:
        found += layer[places, orders_of_heads(shared, draws, rng)].sum(axis=1)
    observed = abs(float(np.trace(sums, axis1=1, axis2=2).sum()))
    beyond = int((np.abs(found) >= observed - SAME).sum())
    return (1 + beyond) / (1 + draws)
