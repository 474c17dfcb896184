"""Correlations within layers against SciPy, and how often their test errs."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, spearmanr

from layerscope.analysis.head_correlations import BOTH, correlation_rows
from layerscope.statistics.within_layers import (
    correlations,
    mean_correlation,
    orders_of_heads,
    permuted_p,
)

LAYERS, HEADS, SEEDS = 5, 6, 3


def alike(rng: np.random.Generator, shared: list[int]) -> np.ndarray:
    """Layers x heads x seeds: larger in later layers, alike in all seeds and in shared keys."""
    of_groups = rng.standard_normal((LAYERS, HEADS, 1))[:, shared]
    own = rng.standard_normal((LAYERS, HEADS, 1))
    noise = 0.5 * rng.standard_normal((LAYERS, HEADS, SEEDS))
    return 3 * np.arange(LAYERS)[:, None, None] + of_groups + 0.3 * own + noise


def test_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    x, y = alike(rng, list(range(HEADS))), alike(rng, list(range(HEADS)))
    y[1] = 7.0  # heads that are all alike
    found = correlations(x, y)
    for layer, seed in np.ndindex(LAYERS, SEEDS):
        if layer == 1:
            assert np.isnan(found[layer, seed])
        else:
            expected = spearmanr(x[layer, :, seed], y[layer, :, seed]).statistic
            assert found[layer, seed] == pytest.approx(expected)
    assert mean_correlation(found) == pytest.approx(np.nanmean(found))
    assert np.isnan(correlations(x[:, :2], y[:, :2])).all()
    assert np.isnan(permuted_p(x[:, :2], y[:, :2], [0, 1], 0))


def test_p_is_that_of_all_orders() -> None:
    """Of two layers of three heads: 36 pairs of orders."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((2, 2, 3, 2))
    values = [
        abs(mean_correlation(correlations(x, np.stack([y[0, list(a)], y[1, list(b)]]))))
        for a, b in product(permutations(range(3)), repeat=2)
    ]
    exact = np.mean(np.asarray(values) >= values[0] - 1e-9)
    assert permuted_p(x, y, [0, 1, 2], 0) == pytest.approx(exact, abs=0.02)


def test_orders_keep_heads_with_one_key_together_and_are_equally_likely() -> None:
    found = orders_of_heads([0, 0, 1, 1], 4000, np.random.default_rng(0))
    orders, counts = np.unique(found, axis=0, return_counts=True)
    assert len(orders) == 2 * 2 * 2
    assert (np.abs(counts - 500) < 5 * np.sqrt(500)).all()
    assert {frozenset(map(int, order[:2])) for order in orders} == {
        frozenset({0, 1}),
        frozenset({2, 3}),
    }
    alone = orders_of_heads([0, 1, 2], 2000, np.random.default_rng(0))
    assert len(np.unique(alone, axis=0)) == 6


@pytest.mark.parametrize("shared", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 2]])
def test_one_of_twenty_unrelated_studies_is_significant(shared: list[int]) -> None:
    """Though both grow with depth, and seeds and heads with one key agree."""
    rng, studies = np.random.default_rng(1), 600
    p = [permuted_p(alike(rng, shared), alike(rng, shared), shared, 0, 99) for _ in range(studies)]
    low, high = binom.ppf([0.001, 0.999], studies, 0.05)
    assert low <= (np.asarray(p) <= 0.05).sum() <= high


def table(change: np.ndarray, importance: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"task": "t", "model": "m", "percent": 100, "seed": seed + 1, "layer": layer + 1,
             "head": head, "key_value_head": head, "importance": importance[layer, head, seed],
             "jsd": change[layer, head, seed]}
            for seed, layer, head in np.ndindex(SEEDS, LAYERS, HEADS)
        ]
    )  # fmt: skip


def test_a_planted_relation_is_found_in_all_rows_of_the_table() -> None:
    rng = np.random.default_rng(2)
    importance = alike(rng, list(range(HEADS)))
    rows = pd.DataFrame(correlation_rows(table(np.exp(importance), importance), 0))
    assert len(rows) == 3 * (SEEDS * (LAYERS + 1) + 1)
    both = rows[rows["statistic"] == BOTH]
    assert (both["value"].astype(float).round(9) == 1).all()
    (mean,) = both[both["seed"].isna()].to_dict("records")
    assert mean["p"] == 1e-4
    ceiling = rows[rows["statistic"] == "importance-seeds"]
    expected = [
        spearmanr(importance[0, :, a], importance[0, :, b]).statistic
        for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    first = ceiling[ceiling["layer"] == 1]
    assert first[["seed", "other_seed"]].to_numpy().tolist() == [[1, 2], [1, 3], [2, 3]]
    assert first["value"].tolist() == pytest.approx(expected)
    assert rows.loc[rows["statistic"] != BOTH, "p"].isna().all()


def test_what_is_not_known_is_left_out() -> None:
    importance = alike(np.random.default_rng(3), list(range(HEADS)))
    given = table(importance, importance)
    rows = pd.DataFrame(correlation_rows(given.assign(jsd=np.nan), 0))
    assert set(rows["statistic"]) == {"importance-seeds"}
    rows = pd.DataFrame(correlation_rows(given[given["seed"] == 1], 0))
    assert set(rows["statistic"]) == {BOTH}
