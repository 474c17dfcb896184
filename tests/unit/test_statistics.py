"""Intervals and correlations against SciPy, closed forms and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.statistics import inference

# halves: many ties, and exact in floating point
VALUES = st.lists(st.integers(-4, 4).map(lambda n: n / 2), min_size=1, max_size=30)
PAIRS = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=30)


@given(VALUES)
def test_ranks_are_those_of_scipy(values: list[float]) -> None:
    np.testing.assert_array_equal(inference.ranks(values), scipy.stats.rankdata(values))


@given(PAIRS)
@settings(deadline=None)
def test_spearman_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = zip(*pairs, strict=True)
    found = inference.spearman(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)


def test_spearman_of_monotone_maps_is_one() -> None:
    x = np.random.default_rng(0).normal(size=50)
    assert inference.spearman(x, np.exp(x)) == pytest.approx(1)
    assert inference.spearman(x, -(x**3)) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([], []),
        ([1, 2], [1, 2]),
        ([1, 1, 1], [1, 2, 3]),
        ([1, 2, 3], [0.1, 0.1, 0.1]),
        ([1, 2, math.nan], [1, 2, 3]),
        ([1, 2, 3], [math.nan, 2, 3]),
    ],
)
def test_spearman_that_is_not_defined_is_nan(x: list[float], y: list[float]) -> None:
    assert math.isnan(inference.spearman(x, y))


# --- clusters ----------------------------------------------------------------------------------


def rows_of(groups: list[str] | list[int]) -> list[list[int]]:
    """Row numbers of each group, groups in order of first appearance."""
    return [[i for i, g in enumerate(groups) if g == group] for group in dict.fromkeys(groups)]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 4))
def test_group_sums_are_sums_of_clusters(groups: list[int], columns: int) -> None:
    counts = np.random.default_rng(len(groups)).integers(0, 9, (len(groups), columns)).astype(float)
    sums = inference.group_sums(counts, groups)
    expected = [counts[rows].sum(axis=0) for rows in rows_of(groups)]
    np.testing.assert_array_equal(sums, expected)
    np.testing.assert_array_equal(sums.sum(axis=0), counts.sum(axis=0))


# --- bootstrap ---------------------------------------------------------------------------------


def test_weights_are_draws_with_replacement() -> None:
    clusters, resamples = 7, 20_000
    weights = inference.bootstrap_weights(clusters, resamples, np.random.default_rng(2))
    assert weights.shape == (resamples, clusters)
    assert (weights.sum(axis=1) == clusters).all()
    # how often one cluster is drawn is binomial(clusters, 1 / clusters)
    found = np.bincount(weights[:, 3].astype(int), minlength=5)[:5] / resamples
    expected = scipy.stats.binom.pmf(range(5), clusters, 1 / clusters)
    np.testing.assert_allclose(found, expected, atol=0.012)


def test_interval_is_of_percentiles_without_nan() -> None:
    values = np.arange(101.0)
    assert inference.interval(values, 0.9) == pytest.approx((5, 95))
    assert inference.interval([*values, math.nan, math.nan], 0.9) == pytest.approx((5, 95))
    assert all(math.isnan(end) for end in inference.interval([math.nan], 0.9))
    assert all(math.isnan(end) for end in inference.interval([], 0.9))


def ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def test_cluster_bootstrap_is_a_loop_over_rows_drawn_by_cluster() -> None:
    """Each resample, made by hand from the same draws: whole clusters, row by row."""
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 9, 60).tolist()
    counts = np.stack([rng.integers(0, 2, 60), np.ones(60)], axis=1).astype(float)
    clusters = rows_of(groups)
    resamples, confidence = 200, 0.8

    found = inference.bootstrap_counts(
        [inference.group_sums(counts, groups)],
        ratio,
        resamples,
        confidence,
        np.random.default_rng(4),
    )

    weights = inference.bootstrap_weights(len(clusters), resamples, np.random.default_rng(4))
    values = []
    for drawn in weights:
        rows = [row for times, c in zip(drawn, clusters, strict=True) for row in [*c] * int(times)]
        values.append(counts[rows, 0].mean())
    assert found == pytest.approx((counts[:, 0].mean(), *np.quantile(values, [0.1, 0.9])))


def test_bootstrap_over_seeds_is_a_loop_over_draws() -> None:
    rng = np.random.default_rng(5)
    seeds = [np.stack([rng.integers(0, 2, 30), np.ones(30)], axis=1).astype(float) for _ in "abc"]
    resamples = 150
    found = inference.bootstrap_counts(seeds, ratio, resamples, 0.9, np.random.default_rng(6))

    again = np.random.default_rng(6)
    weights = inference.bootstrap_weights(30, resamples, again)
    draws = again.integers(3, size=(3, resamples))
    values = []
    for resample in range(resamples):
        rows = np.repeat(np.arange(30), weights[resample].astype(int))  # the same for each seed
        values.append(np.mean([seeds[s][rows, 0].mean() for s in draws[:, resample]]))
    point = np.mean([s[:, 0].mean() for s in seeds])
    assert found == pytest.approx((point, *np.quantile(values, [0.05, 0.95])))


def test_seeds_that_differ_widen_the_interval() -> None:
    def seed(right: int) -> np.ndarray:
        counts = np.ones((200, 2))
        counts[right:, 0] = 0
        return counts

    def width(seeds: list[np.ndarray]) -> float:
        _, low, high = inference.bootstrap_counts(
            seeds, ratio, 2000, 0.95, np.random.default_rng(7)
        )
        return high - low

    assert width([seed(100), seed(160)]) > 2 * width([seed(130), seed(130)])


def covers(groups: np.ndarray, clustered: bool, rng: np.random.Generator) -> bool:
    """Whether a 90 % interval of a mean holds the true mean, 0; members of a group are alike."""
    shared = rng.normal(size=groups.max() + 1)[groups]
    x = shared + 0.3 * rng.normal(size=len(groups))
    counts = np.stack([x, np.ones(len(x))], axis=1)
    units = groups if clustered else np.arange(len(groups))
    sums = inference.group_sums(counts, units.tolist())
    _, low, high = inference.bootstrap_counts([sums], ratio, 200, 0.9, rng)
    return low <= 0 <= high


def test_intervals_cover_the_truth_when_clusters_are_drawn_whole() -> None:
    rng = np.random.default_rng(8)
    groups = np.repeat(np.arange(40), 5)
    trials = 400
    clustered = np.mean([covers(groups, True, rng) for _ in range(trials)])
    by_rows = np.mean([covers(groups, False, rng) for _ in range(trials)])
    # 90 % is meant; a standard error is 1.5 points, and a percentile interval is a little short
    assert 0.84 <= clustered <= 0.94
    assert by_rows < 0.70  # what drawing single rows would claim


def test_means_with_intervals_of_all_columns() -> None:
    rng = np.random.default_rng(9)
    values = rng.normal(size=(400, 3)) * [1, 2, 0] + [0, 10, 5]
    mean, low, high = inference.bootstrap_mean(values, 4000, 0.95, rng)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    # normal theory, for samples of this size
    half = 1.96 * values.std(axis=0) / np.sqrt(len(values))
    np.testing.assert_allclose(low, mean - half, atol=0.015)
    np.testing.assert_allclose(high, mean + half, atol=0.015)


def test_the_same_seed_gives_the_same_interval() -> None:
    counts = np.random.default_rng(10).integers(0, 5, (20, 2)) + 1.0

    def run(seed: int) -> tuple[float, float, float]:
        return inference.bootstrap_counts([counts], ratio, 100, 0.95, np.random.default_rng(seed))

    assert run(1) == run(1)
    assert run(1) != run(2)
