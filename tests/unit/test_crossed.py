"""Tests that draw seeds and examples: error rates by simulation, and parts against other code."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats

from layerscope.evaluation.significance import holm
from layerscope.statistics.crossed import (
    MANY,
    Difference,
    Spread,
    crossed_difference,
    crossed_mean,
    equivalence_p,
    example_variances,
    half_width,
    seed_variance,
    spread_of_difference,
    two_sided_p,
)
from layerscope.statistics.metrics import accuracy_of, f1_of

Array = np.ndarray
#: Variance of one example's answer: what a model is better at than others, and what changes with
#: the seed. Together those of an accuracy near 0.75.
OWN, CHANGING = 0.075, 0.06


def counts(right: Array) -> Array:
    """Counts of one class: hits, nothing wrong, misses."""
    return np.stack([right, np.zeros_like(right), 1 - right], axis=1).astype(float)


def scores(
    rng: np.random.Generator, seeds: int, examples: int, deviations: Sequence[float], draws: int
) -> Array:
    """Scores of models that are equally good on average: draws x models x seeds.

    A model whose deviation is None is a baseline, which is the same with every seed.
    """
    shape = (draws, len(deviations), seeds)
    trained = np.asarray(deviations)[:, None] * rng.standard_normal(shape)
    trained += math.sqrt(CHANGING / examples) * rng.standard_normal(shape)
    trained[:, np.isnan(np.asarray(deviations)), :] = 0
    return trained + math.sqrt(OWN / examples) * rng.standard_normal((*shape[:2], 1))


def p_of_pair(rng: np.random.Generator, one: Array, other: Array, examples: int) -> float:
    """p of two models; 1 in place of what a normal distribution, which has less, puts above 0.05.

    The variance between examples is estimated from that many of them.
    """
    seeds, df = seed_variance([one, other])
    agree = 2 * CHANGING / examples / len(one)  # what seeds differ in by their answers alone
    own = (2 * OWN / examples + agree) * rng.chisquare(examples - 1) / (examples - 1)
    spread = Spread(seeds, df, own - min(agree, seeds), examples - 1)
    far = other.mean() - one.mean()
    if abs(far) < 1.95 * math.sqrt(spread.seeds + spread.examples):
        return 1.0
    return two_sided_p(far, spread)


def error(seeds: int, examples: int, deviations: Sequence[float], draws: int = 600) -> float:
    """How often two models that are equally good differ at 0.05."""
    rng = np.random.default_rng([seeds, examples, len(deviations)])
    drawn = scores(rng, seeds, examples, deviations, draws)
    return float(np.mean([p_of_pair(rng, *both, examples) <= 0.05 for both in drawn]))


@pytest.mark.parametrize("examples", [270, 1422])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_seeds_of_equal_models_differ_no_more_often_than_the_level_says(
    seeds: int, examples: int
) -> None:
    for deviation in (0, 0.01, 0.02, 0.045, 0.05):
        assert error(seeds, examples, [deviation] * 2) <= 0.07, deviation
    for unequal in ([0.05, 0.02], [0.05, math.nan]):  # nan: a baseline, the same with every seed
        assert error(seeds, examples, unequal) <= 0.07, unequal


@pytest.mark.parametrize("seeds", [2, 3])
def test_after_holms_correction_no_pair_of_a_family_differs_more_often(seeds: int) -> None:
    """Four models, one of which varies more than others, and two baselines."""
    rng = np.random.default_rng(seeds)
    deviations = [0.02, 0.02, 0.05, 0.01, math.nan, math.nan]
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 6)]
    drawn = scores(rng, seeds, 1422, deviations, 300)
    claims = [
        min(holm([p_of_pair(rng, each[i], each[j], 1422) for i, j in pairs])) <= 0.05
        for each in drawn
    ]
    assert np.mean(claims) <= 0.07


def answers(rng: np.random.Generator, seeds: int, examples: int, skill: float) -> list[Array]:
    """Counts of a model by seed; half of the examples are hard for all seeds alike."""
    cut = skill + 0.1 * rng.standard_normal((seeds, 1))  # deviation 0.03 of accuracy
    hard = rng.standard_normal(examples)
    return [counts(row) for row in hard + rng.standard_normal((seeds, examples)) < cut * 2**0.5]


def test_both_variances_of_real_answers_add_up_to_that_of_the_difference() -> None:
    rng = np.random.default_rng(0)
    values, spreads = [], []
    for _ in range(400):
        one, other = (answers(rng, 3, 150, 0.67) for _ in range(2))
        values.append(np.mean([accuracy_of(c.sum(axis=0)) for c in one])
                      - np.mean([accuracy_of(c.sum(axis=0)) for c in other]))  # fmt: skip
        spreads.append(spread_of_difference(one, other, accuracy_of))
    seeds, _, examples, _ = np.mean(spreads, axis=0)
    assert seeds + examples == pytest.approx(np.var(values), rel=0.15)
    found = [two_sided_p(v, s) <= 0.05 for v, s in zip(values, spreads, strict=True)]
    assert np.mean(found) <= 0.07


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(1)
    found = [
        crossed_difference(answers(rng, 5, 500, 0.3), answers(rng, 5, 500, 0.67), accuracy_of, 0.95)
        for _ in range(20)
    ]  # accuracies of 0.62 and 0.75
    assert np.mean([each.p < 0.05 for each in found]) > 0.9
    assert np.mean([each.low <= 0.131 <= each.high for each in found]) > 0.8


@pytest.mark.slow
def test_the_interval_of_a_mean_over_seeds_covers_it() -> None:
    rng = np.random.default_rng(7)
    expected = scipy.stats.norm.cdf(0.67 * 2**0.5 / (2 + 2 * 0.1**2) ** 0.5)
    for seeds in (2, 5):
        found = [crossed_mean(answers(rng, seeds, 200, 0.67), accuracy_of, 0.9) for _ in range(300)]
        assert (
            np.mean([low <= expected <= high for _, low, high in found]) > 0.86
        )  # deviation 0.017


# --- parts -------------------------------------------------------------------------------------


def test_p_is_that_of_the_sum_of_two_t_variables() -> None:
    draw = np.random.default_rng(2)
    for spread, far in (
        (Spread(1e-4, 2, 4e-4, 269), 0.1),
        (Spread(1e-2, 1, 4e-4, 269), 0.3),
        (Spread(1e-4, 4, 1e-4, 19), 0.03),
    ):
        sums = math.sqrt(spread.seeds) * draw.standard_t(spread.seeds_df, 200_000)
        sums += math.sqrt(spread.examples) * draw.standard_t(spread.examples_df, 200_000)
        assert two_sided_p(far, spread) == pytest.approx(np.mean(abs(sums) > far), rel=0.1)


@pytest.mark.parametrize("df", [1, 2, 4])
def test_with_one_source_alone_p_is_that_of_t(df: int) -> None:
    expected = 2 * scipy.stats.t.sf(3, df)
    assert two_sided_p(-0.3, Spread(0.01, df, 0.0, 99)) == pytest.approx(expected)
    assert two_sided_p(0.3, Spread(0.01, df, 1e-13, 99)) == pytest.approx(expected, rel=1e-3)
    few = 2 * scipy.stats.t.sf(3, 99)
    assert two_sided_p(0.3, Spread(0.0, df, 0.01, 99)) == pytest.approx(few)
    assert two_sided_p(0.3, Spread(1e-13, df, 0.01, 99)) == pytest.approx(few, rel=1e-3)


def test_what_does_not_vary_has_no_p_unless_it_is_0() -> None:
    still = Spread(0, 1, 0, 99)
    assert two_sided_p(0, still) == 1
    assert math.isnan(two_sided_p(0.5, still))
    assert half_width(still, 0.95) == 0


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_an_interval_ends_where_p_is_what_is_left(confidence: float) -> None:
    for spread in (Spread(1e-4, 1, 4e-4, 269), Spread(1e-2, 3.1, 4e-4, 1421)):
        assert two_sided_p(half_width(spread, confidence), spread) == pytest.approx(1 - confidence)


def test_the_variance_over_seeds_is_welchs() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(0.7, 0.1, 3), rng.normal(0.8, 0.02, 5)
    variance, df = seed_variance([one, other])
    expected = scipy.stats.ttest_ind(other, one, equal_var=False)
    assert (other.mean() - one.mean()) / math.sqrt(variance) == pytest.approx(expected.statistic)
    assert df == pytest.approx(expected.df)
    baseline = seed_variance([one, [0.1] * 3])
    assert baseline == pytest.approx((one.var(ddof=1) / 3, 2))
    assert seed_variance([[0.1] * 3] * 2) == (0, 2)


def test_the_variance_over_examples_is_that_of_a_table_of_two_ways() -> None:
    """Of a mean they are sums of squares of the analysis of variance (Searle 1971, chapter 9)."""
    rng = np.random.default_rng(4)
    right = (rng.normal(size=40) + rng.normal(size=(3, 40)) > 0).astype(float)
    grand, by_example, by_seed = right.mean(), right.mean(axis=0), right.mean(axis=1)
    rest = right - by_example - by_seed[:, None] + grand
    examples = 3 * ((by_example - grand) ** 2).sum() / 39
    interaction = (rest**2).sum() / (2 * 39)
    expected = (examples / 120, interaction / 120)
    assert example_variances([counts(r) for r in right], accuracy_of) == pytest.approx(expected)


def test_seeds_that_agree_by_chance_leave_the_variance_over_examples() -> None:
    rng = np.random.default_rng(8)
    right = np.arange(100) < 70
    side = [counts(rng.permutation(right)) for _ in range(2)]  # 70 % in each, on other examples
    whole, interaction = example_variances(side, accuracy_of)
    assert interaction > 0.2 * whole
    found = crossed_mean(side, accuracy_of, 0.95)
    half = scipy.stats.t.ppf(0.975, 99) * math.sqrt(whole)
    assert found == pytest.approx((0.7, 0.7 - half, 0.7 + half))


def test_the_variance_of_a_ratio_is_that_of_its_bootstrap() -> None:
    rng = np.random.default_rng(5)
    sentences = [rng.poisson([2.0, 0.7, 0.8], size=(300, 3)).astype(float)] * 2
    weights = rng.multinomial(300, [1 / 300] * 300, size=4000)
    whole, interaction = example_variances(sentences, f1_of)
    assert whole == pytest.approx(np.var(f1_of(weights @ sentences[0])), rel=0.1)
    assert interaction == 0


def test_without_seeds_or_groups_to_draw_there_is_no_test() -> None:
    rng = np.random.default_rng(6)
    side = answers(rng, 2, 30, 0.5)
    for few in (side[:1], [each[:1] for each in side]):
        found = crossed_difference(few, few, accuracy_of, 0.95)
        assert found.value == 0
        assert all(math.isnan(each) for each in found[1:4])
    none, every = ([counts(np.full(30, answer))] * 2 for answer in (0, 1))
    found = crossed_difference(none, every, accuracy_of, 0.95)
    assert found.value == 1
    assert math.isnan(found.p)


def test_equivalence_with_one_side_fixed_is_two_one_sided_t_tests() -> None:
    """Where seeds alone vary; p of a difference past the margin is over a half."""
    rng = np.random.default_rng(8)
    drawn = rng.normal(0.01, 0.01, 6)
    spread = Spread(float(drawn.var(ddof=1)) / 6, 5, 0.0, MANY)
    found = Difference(float(drawn.mean()), np.nan, np.nan, np.nan, spread)
    for margin in (0.005, 0.02, 0.05):
        expected = max(
            scipy.stats.ttest_1samp(drawn, margin, alternative="less").pvalue,
            scipy.stats.ttest_1samp(drawn, -margin, alternative="greater").pvalue,
        )
        assert equivalence_p(found, margin) == pytest.approx(expected)
    assert math.isnan(equivalence_p(Difference(0.0, *[np.nan] * 3), 0.02))


@pytest.mark.slow
def test_systems_that_differ_by_the_margin_are_called_equivalent_in_one_test_of_twenty() -> None:
    """Skills of 0.3 and 0.67 are accuracies that differ by 0.130."""
    rng = np.random.default_rng(9)
    called = [
        equivalence_p(
            crossed_difference(
                answers(rng, 4, 500, 0.3), answers(rng, 4, 500, 0.67), accuracy_of, 0.95
            ),
            0.130,
        )
        <= 0.05
        for _ in range(250)
    ]
    assert np.mean(called) > 0.004  # it is near the edge of what is called equivalent
    assert np.mean(called) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 250)
