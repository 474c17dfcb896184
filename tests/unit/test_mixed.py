"""The mixed-effects slope against a planted one, a likelihood of our own, and least squares."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from layerscope.evaluation.association import association_rows, task_points
from layerscope.statistics.inference import critical_spearman, min_models_for_significance
from layerscope.statistics.mixed import mixed_slope

Array = np.ndarray


def planted(models: int, each: int, slope: float, between: float, seed: int) -> Any:
    """Points of a known slope, an intercept a model, and an inner measure that differs by model."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(models), each)
    x = rng.normal(size=len(groups)) + 0.5 * rng.normal(size=models)[groups]
    y = slope * x + between * rng.normal(size=models)[groups] + 0.5 * rng.normal(size=len(groups))
    return x, y, groups


def test_a_planted_slope_is_recovered_and_its_interval_holds_it_as_often_as_it_says() -> None:
    held, found = [], []
    for seed in range(60):
        x, y, groups = planted(8, 6, 0.6, 1.0, seed)
        one = mixed_slope(x, y, groups.tolist(), 0.9)
        scale = y.std() / x.std()
        found.append(one.value * scale)
        held.append(one.low * scale < 0.6 < one.high * scale)
    assert np.mean(found) == pytest.approx(0.6, abs=0.03)
    assert 0.8 < np.mean(held) < 0.98


def reml(x: Array, y: Array, groups: Array, share: float) -> tuple[float, float]:
    """Restricted log-likelihood and slope where the variances stand in a given ratio."""
    design = np.column_stack([np.ones(len(x)), x])
    covariance = np.eye(len(x)) + share * (groups[:, None] == groups)
    inverse = np.linalg.inv(covariance)
    within = design.T @ inverse @ design
    beta = np.linalg.solve(within, design.T @ inverse @ y)
    rest = y - design @ beta
    freedom = len(x) - 2
    logs = [np.linalg.slogdet(each)[1] for each in (covariance, within)]
    return -0.5 * (freedom * np.log(rest @ inverse @ rest) + sum(logs)), float(beta[1])


@pytest.mark.parametrize("seed", range(4))
def test_the_slope_is_that_of_the_restricted_likelihood(seed: int) -> None:
    x, y, groups = planted(5, 5, 0.4, 0.8, seed)
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    best = max(reml(x, y, groups, share) for share in np.geomspace(1e-4, 1e3, 4000))
    found = mixed_slope(x, y, groups.tolist(), 0.95)
    assert found.reason == ""
    assert found.value == pytest.approx(best[1], abs=2e-3)


def test_many_variants_make_it_the_slope_with_an_intercept_for_each_model() -> None:
    x, y, groups = planted(4, 200, 0.5, 2.0, 1)
    dummies = (groups[:, None] == np.arange(4)).astype(float)
    exact = np.linalg.lstsq(np.column_stack([x, dummies]), y, rcond=None)[0][0]
    found = mixed_slope(x, y, groups.tolist(), 0.95)
    assert found.value * y.std() / x.std() == pytest.approx(exact, rel=0.01)


def test_neither_unit_nor_origin_counts() -> None:
    x, y, groups = planted(5, 6, -0.4, 1.0, 2)
    one = mixed_slope(x, y, groups.tolist(), 0.95)
    other = mixed_slope(1e4 * x + 7, y / 100 - 3, groups.tolist(), 0.95)
    assert other[:3] == pytest.approx(one[:3], abs=1e-4)
    turned = mixed_slope(-x, y, groups.tolist(), 0.95)
    assert turned[:3] == pytest.approx((-one.value, -one.high, -one.low), abs=1e-4)


@pytest.mark.parametrize(
    ("models", "each", "change", "reason"),
    [
        (2, 8, lambda x, y, g: (x, y), "too few models or variants"),
        (5, 1, lambda x, y, g: (x, y), "too few models or variants"),
        (4, 4, lambda x, y, g: (g * 1.0, y), "constant within models"),
        (4, 4, lambda x, y, g: (x, g * 0.1 + 1e-16 * x), "constant within models"),
        (4, 6, lambda x, y, g: (x, y - np.repeat(y.reshape(4, 6).mean(axis=1), 6)), "singular"),
    ],
)  # fmt: skip
def test_what_cannot_be_estimated_is_null_with_a_reason_and_without_warnings(
    models: int, each: int, change: Any, reason: str
) -> None:
    x, y, groups = planted(models, each, 0.0, 1.0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mixed_slope(*change(x, y, groups), groups.tolist(), 0.95)
    assert found.reason == reason
    assert np.isnan(found[:3]).all()


def test_no_points_have_no_slope() -> None:
    assert mixed_slope([], [], [], 0.95).reason == "too few models or variants"


def test_the_table_holds_it_and_the_log_counts_what_is_missing_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    x, y, groups = planted(4, 4, 0.5, 1.0, 3)
    variants = [f"f{percent}-s{seed}" for percent in (10, 100) for seed in (1, 2)] * 4
    percents = [10, 10, 100, 100] * 4
    scores = [
        {"model": f"m{g}", "variant": v, "percent": p, "seed": int(v[-1]), "metric": "accuracy",
         "value": value}
        for g, v, p, value in zip(groups, variants, percents, y, strict=True)
    ]  # fmt: skip
    probes = [
        {"model": f"m{g}", "variant": v, "probe": "linear", "rows": "validation", "view": "joint",
         "layer": layer, "depth": float(layer), "metric": "accuracy", "value": value + layer}
        for g, v, value in zip(groups, variants, x, strict=True) for layer in (0, 1)
    ]  # fmt: skip
    attention = pd.DataFrame(columns=["model", "variant", "percent", "measure", "layer", "value"])
    with caplog.at_level(logging.WARNING):
        found_points = task_points(pd.DataFrame(scores), pd.DataFrame(probes), attention)
        rows = association_rows("t", found_points, 50, 0.9, 0)
    found = {r["inner measure"]: r for r in rows if r["statistic"] == "mixed-effects slope"}
    assert len(found) == 4
    expected = mixed_slope(x, y, groups.tolist(), 0.9)
    best = found["linear probe, joint view: best layer"]
    assert (best["value"], best["low"], best["high"]) == pytest.approx(expected[:3], abs=1e-4)
    assert found["linear probe, joint view: depth"]["value"] is None
    (line,) = caplog.messages
    assert line.startswith("t: no mixed-effects slope of 2 of 4 inner measures and metrics: ")
    assert "constant within models (1)" in line


def test_the_critical_correlation_is_that_of_published_tables() -> None:
    """Zar 1984, table B.20, two-sided 0.05; where it has three digits, they are rounded."""
    assert [critical_spearman(n, 0.05) for n in (1, 2, 3, 4)] == [None] * 4
    for n, value in {5: 1.0, 6: 0.886, 7: 0.786, 8: 0.738, 9: 0.700, 10: 0.648, 20: 0.447}.items():
        assert critical_spearman(n, 0.05) == pytest.approx(value, abs=0.001 if n < 9 else 0.008)
    assert critical_spearman(4, 0.1) == 1


def test_a_correlation_at_the_critical_value_is_told_and_the_next_smaller_is_not() -> None:
    critical = critical_spearman(6, 0.05)
    assert critical is not None
    orders = scipy.stats.permutation_test(
        (np.arange(6.0),), lambda order: scipy.stats.spearmanr(order, np.arange(6)).statistic,
        permutation_type="pairings", n_resamples=np.inf,
    ).null_distribution  # fmt: skip
    far = np.abs(orders)
    assert np.mean(far >= critical - 1e-9) <= 0.05
    below = far[far < critical - 1e-9].max()
    assert np.mean(far >= below - 1e-9) > 0.05


def test_power_in_words() -> None:
    assert min_models_for_significance(4, 0.05) == (
        "no rank correlation of 4 independent models is told from 0 at 5 %"
    )
    assert min_models_for_significance(6, 0.05) == (
        "a rank correlation of 6 independent models is told from 0 at 5 % from 0.89 on, "
        "of either sign"
    )
