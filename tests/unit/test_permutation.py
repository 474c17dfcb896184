"""The permutation test within fractions: definitions, simulated error rates, planted effects."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import scipy.stats
from simulated_studies import (
    DEMO,
    NULLS,
    SIX,
    TWELVE,
    Null,
    Shape,
    claims,
    covered,
    gains,
    pooled_claims,
)

from layerscope.statistics.held_out import held_out_r2
from layerscope.statistics.permutation import (
    few_models,
    orders_of,
    permutation_test,
    spearman_interval,
    stratified_spearman,
    varies,
)

Array = np.ndarray


def spearman(x: Array, y: Array) -> float:
    return float(scipy.stats.spearmanr(x, y).statistic)


def test_the_correlation_is_the_mean_of_scipys_over_strata() -> None:
    x, y = np.random.default_rng(0).integers(0, 5, (2, 9, 3)).astype(float)  # with ties
    expected = np.mean([spearman(x[:, f], y[:, f]) for f in range(3)])
    assert stratified_spearman(x, y) == pytest.approx(expected)
    # A stratum in which one side is the same for all units counts neither way.
    x[:, 0], y[:, 2] = 0.1 + 0.2, 7
    assert stratified_spearman(x, y) == pytest.approx(spearman(x[:, 1], y[:, 1]))


def test_what_differs_between_strata_alone_has_no_correlation() -> None:
    fraction = np.tile([10.0, 30, 100], (8, 1))
    score = fraction + np.random.default_rng(0).normal(size=(8, 3))
    assert not varies(fraction)
    assert varies(score)
    assert np.isnan(stratified_spearman(fraction, score))
    assert np.isnan(stratified_spearman(score[:2], score[:2]))
    assert np.isnan(stratified_spearman(np.empty((0, 3)), np.empty((0, 3))))


def test_of_one_stratum_p_is_that_of_scipy_over_all_orders() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 6))
    found = permutation_test(x[None, :, None], y[:, None], orders_of(6, 1, 0), 0.05)
    exact = scipy.stats.permutation_test(
        (x,), lambda order: spearman(order, y), permutation_type="pairings", n_resamples=np.inf
    )
    assert found.p[0] == pytest.approx(np.mean(np.abs(exact.null_distribution)
                                               >= abs(exact.statistic) - 1e-9))  # fmt: skip
    assert found.deviation[0] == pytest.approx(np.std(exact.null_distribution))
    assert found.corrected[0] == found.p[0]


def test_correction_is_the_largest_correlation_of_any_measure_in_each_order() -> None:
    rng = np.random.default_rng(3)
    measures, score = rng.normal(size=(4, 5, 2)), rng.normal(size=(5, 2))
    found = permutation_test(measures, score, orders_of(5, 1, 0), 0.2)
    largest = np.asarray(
        [
            max(abs(stratified_spearman(x, score[list(order)])) for x in measures)
            for order in permutations(range(5))
        ]
    )
    for value, corrected in zip(found.value, found.corrected, strict=True):
        assert corrected == pytest.approx(np.mean(largest >= abs(value) - 1e-9))
    assert np.mean(largest > found.critical + 1e-9) <= 0.2 < np.mean(largest >= found.critical)


def test_an_undefined_measure_takes_nothing_from_the_others() -> None:
    rng = np.random.default_rng(3)
    measures, score = rng.normal(size=(2, 6, 2)), rng.normal(size=(6, 2))
    orders = orders_of(6, 1, 0)
    alone = permutation_test(measures[:1], score, orders, 0.05)
    measures[1] = 3
    both = permutation_test(measures, score, orders, 0.05)
    assert np.isnan([both.value[1], both.p[1], both.corrected[1]]).all()
    assert both.corrected[0] == alone.corrected[0]


def test_orders_are_all_or_random_with_the_observed_one_first() -> None:
    assert len({tuple(order) for order in orders_of(7, 10, 0).tolist()}) == 5040
    drawn = orders_of(8, 50, 1)
    assert drawn.shape == (51, 8)
    assert drawn[0].tolist() == list(range(8))
    assert (np.sort(drawn, axis=1) == np.arange(8)).all()
    assert (drawn == orders_of(8, 50, 1)).all()
    # Without random orders the observed one alone is left: p is 1, never 0.
    x = np.arange(8.0)[:, None]
    assert permutation_test(x[None], x, orders_of(8, 0, 0), 0.05).p == 1


def test_six_models_are_the_fewest_of_which_something_is_said() -> None:
    assert few_models(6) == ""
    assert few_models(3) == (
        "With 3 independent models, nothing can be concluded about models in general; "
        "at least 6 are needed."
    )
    assert few_models(1).startswith("With 1 independent model, ")
    # Of one fraction: with four, not even a perfect order is significant; with six, more than one.
    for units, expected in ((4, 2 / 24), (5, 2 / 120), (6, 2 / 720)):
        x = np.arange(float(units))[:, None]
        found = permutation_test(x[None], x, orders_of(units, 1, 0), 0.05)
        assert found.p[0] == pytest.approx(expected)
    assert found.critical == pytest.approx(0.829, abs=0.001)  # Zar 1984, table B.20: from 0.886 on


# --- simulations -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [DEMO, SIX, TWELVE], ids=str)
@pytest.mark.parametrize("null", NULLS.values(), ids=NULLS)
def test_nothing_is_claimed_too_often_where_there_is_nothing(null: Null, shape: Shape) -> None:
    single, any_of_all, _ = claims(shape, null, 400)
    assert single <= 0.07
    assert any_of_all <= 0.07


def test_the_rule_that_was_claimed_what_the_fraction_does() -> None:
    assert pooled_claims(DEMO, NULLS["training fraction as common cause"], 20) > 0.7


def test_a_planted_association_is_found_with_twelve_models() -> None:
    assert claims(TWELVE, Null(1, 3), 100, planted=2)[2] >= 0.9


@pytest.mark.parametrize("models", [6, 12])
@pytest.mark.parametrize(("fractions", "relation", "by_model"),
                         [(1, 0.5, 0), (1, 0.9, 0), (4, 0, 0.95), (4, 0.9, 0.5)])  # fmt: skip
def test_intervals_hold_the_true_correlation(
    models: int, fractions: int, relation: float, by_model: float
) -> None:
    assert covered(models, fractions, relation, by_model, 300) >= 0.92


def test_an_interval_holds_its_value_and_is_not_given_of_few_models() -> None:
    low, high = spearman_interval(1.0, 0.4, 6, 0.95)
    assert 0.3 < low < 0.9
    assert high == 1
    assert spearman_interval(-1.0, 0.4, 6, 0.95) == pytest.approx((-high, -low))
    assert np.isnan(spearman_interval(0.5, 0.4, 5, 0.95)).all()


# --- held-out models ---------------------------------------------------------------------------


def test_held_out_r2_is_that_of_ridge_regression_without_the_model() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(4)
    x, noise = rng.normal(size=(2, 7, 3)), rng.normal(size=(7, 3))
    score = x[0] + 0.5 * noise + np.array([0, 1, 3])
    errors = total = 0.0
    for unit in range(7):
        others = np.arange(7) != unit
        centred = x - x[:, others].mean(axis=1, keepdims=True)
        centred /= np.sqrt((centred[:, others] ** 2).mean(axis=(1, 2), keepdims=True))
        mean = score[others].mean(axis=0)
        fit = Ridge(alpha=3, fit_intercept=False).fit(
            centred[:, others].reshape(2, -1).T, (score[others] - mean).ravel()
        )
        errors += ((score[unit] - mean - fit.predict(centred[:, unit].T)) ** 2).sum()
        total += ((score[unit] - score[others].mean()) ** 2).sum()
    assert held_out_r2(score, x) == pytest.approx(1 - errors / total)


def test_the_fraction_alone_predicts_what_it_causes_and_models_are_needed() -> None:
    score = np.tile([0.2, 0.5, 0.9], (6, 1))
    none = np.empty((0, 6, 3))
    assert held_out_r2(score, none) == pytest.approx(1)
    assert held_out_r2(score, score[None]) == pytest.approx(1)  # constant within fractions
    assert np.isnan(held_out_r2(score[:5], none[:, :5]))
    assert np.isnan(held_out_r2(np.full((6, 3), 0.1), none))
    effects = np.random.default_rng(0).normal(size=(6, 1)) + np.zeros(3)
    assert held_out_r2(effects, none) == pytest.approx(0)
    assert held_out_r2(effects, effects[None]) > 0.9


def test_a_measure_that_explains_nothing_rarely_improves_the_prediction() -> None:
    assert np.mean(np.asarray(gains(TWELVE, 100)) >= 0.01) <= 0.25
    assert np.mean(np.asarray(gains(TWELVE, 40, planted=2)) >= 0.01) >= 0.95
