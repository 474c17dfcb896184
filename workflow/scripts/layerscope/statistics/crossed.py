"""Differences of scores in which both seeds and test examples are drawn.

A model's score varies with the test examples and with the randomness of training. All seeds are
tested on the same examples, so the two are crossed: more seeds do not average out the examples, nor
the other way round. The mean over seeds of a difference has a variance of two parts,

- over seeds: that of each side's seed means, by Welch (1947), with his degrees of freedom;
- over examples: the delete-one jackknife over groups of examples of the difference, paired,

and the p value is that of Behrens and Fisher: the difference is compared with the sum of one t
variable for each part. Their solution holds the level whatever the ratio of the parts (Robinson
1976, Annals of Statistics 4, 963-971); Satterthwaite's degrees of freedom for the sum of both parts
do not with two or three seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from layerscope.statistics.inference import Floats, Statistic, mean_over_seeds

#: Degrees of freedom of what is as good as normal.
MANY = 1e6
#: Fewer seeds do not show how much training varies.
MIN_SEEDS = 2
#: Where one t variable is integrated over: dense near 0, and far out.
_NODES = np.sinh(np.linspace(-14, 14, 1121))


class Spread(NamedTuple):
    """Variance of a mean over seeds, by its source.

    Attributes:
        seeds, seeds_df: variance due to seeds, and its degrees of freedom.
        examples, examples_df: variance due to test examples, and its degrees of freedom.
    """

    seeds: float
    seeds_df: float
    examples: float
    examples_df: float


class Difference(NamedTuple):
    """A difference, its interval and two-sided p; NaN where seeds do not allow any."""

    value: float
    low: float
    high: float
    p: float
    spread: Spread | None = None  # None where there is no p


def two_sided_p(distance: float, spread: Spread) -> float:
    """Probability of a value at least this far from 0 if the true one is 0.

    NaN if nothing varies and the distance is not 0: then nothing is known of chance.
    """
    if distance == 0:
        return 1.0
    if spread.seeds == 0 == spread.examples:
        return float("nan")
    parts = [(spread.seeds, spread.seeds_df), (spread.examples, spread.examples_df)]
    (narrow, narrow_df), (wide, wide_df) = sorted(parts)
    if narrow == 0:
        return float(2 * stdtr(wide_df, -abs(distance) / np.sqrt(wide)))
    # The density of t, times the derivative of sinh; over the narrow part what is left is smooth.
    weights = (1 + _NODES**2 / narrow_df) ** (-(narrow_df + 1) / 2) * np.sqrt(1 + _NODES**2)
    beyond = stdtr(wide_df, (_NODES * np.sqrt(narrow) - abs(distance)) / np.sqrt(wide))
    return float(min(1, 2 * (weights @ beyond) / weights.sum()))


def half_width(spread: Spread, confidence: float) -> float:
    """Half of the interval of a value: the distance whose p is 1 - confidence."""
    scale = float(np.sqrt(spread.seeds + spread.examples))
    if scale == 0:
        return 0.0
    df = min(spread.seeds_df, spread.examples_df)
    most = 2 * scale * float(stdtrit(df, (1 + confidence) / 2))
    return float(brentq(lambda far: two_sided_p(far, spread) - (1 - confidence), 0, most))


def equivalence_p(found: Difference, margin: float) -> float:
    """The p of two one-sided tests that the true difference is within the margin on either side.

    That of the side that is nearer (Schuirmann 1987, Journal of Pharmacokinetics and
    Biopharmaceutics 15, 657-680): two systems are equivalent at a level where it is at most that.

    Args:
        found: the difference.
        margin: the largest difference that counts as none, above 0.

    Returns:
        NaN where the difference has no p.
    """
    if found.spread is None:
        return float("nan")
    inside = margin - abs(found.value)
    p = two_sided_p(inside, found.spread) / 2
    return p if inside >= 0 else 1 - p


def seed_variance(sides: Sequence[npt.ArrayLike]) -> tuple[float, float]:
    """Variance of a sum or difference of means over seeds, and Welch's degrees of freedom.

    Args:
        sides: of each side a value for each seed, two or more.
    """
    values = [np.asarray(side, np.float64) for side in sides]
    # Equal values have no variance, whatever their rounded mean is.
    parts = [0.0 if np.ptp(v) == 0 else float(v.var(ddof=1)) / len(v) for v in values]
    total = sum(parts)
    if total == 0:
        return 0.0, float(min(len(v) for v in values) - 1)
    shares = [part / total for part in parts]
    df = 1 / sum(share**2 / (len(v) - 1) for share, v in zip(shares, values, strict=True))
    return total, float(df)


def example_variances(counts: Sequence[Floats], statistic: Statistic) -> tuple[float, float]:
    """Variance over groups of examples of a statistic's mean over seeds, and the seeds' part in it.

    The first is the delete-one jackknife (Efron and Stein 1981), seeds held fixed. The second is
    what seeds differ in from group to group, which the variance between seeds holds as well.

    Args:
        counts: an array for each seed, groups x columns, the same groups in the same order.
        statistic: of summed counts (... x columns).
    """
    seeds, groups = len(counts), len(counts[0])
    without = np.stack([statistic(c.sum(axis=0) - c) for c in counts])  # seeds x groups
    shared = without.mean(axis=0)
    own = without - shared
    own = own - own.mean(axis=1, keepdims=True)
    interaction = (groups - 1) / groups * float((own**2).sum()) / ((seeds - 1) * seeds)
    return (groups - 1) * float(shared.var()), interaction


def _spread(
    sides: Sequence[Sequence[float]], counts: Sequence[Floats], statistic: Statistic
) -> Spread:
    """Variance of a sum or difference of means over seeds, each source counted once.

    Together both parts are never less than the variance over examples with the seeds held fixed,
    also where seeds agree by chance.

    Args:
        sides: of each side the value of each seed.
        counts, statistic: of the whole, as in `example_variances`.
    """
    seeds, df = seed_variance(sides)
    whole, interaction = example_variances(counts, statistic)
    examples = max(whole - min(interaction, seeds), 0.0)
    return Spread(seeds, df, examples, len(counts[0]) - 1)


def spread_of_difference(
    before: Sequence[Floats], after: Sequence[Floats], statistic: Statistic
) -> Spread:
    """Variance of a difference of a statistic's means over seeds; arguments as in the next one."""
    columns = before[0].shape[1]

    def change(sums: Floats) -> Floats:
        return statistic(sums[..., columns:]) - statistic(sums[..., :columns])

    both = [np.hstack(pair) for pair in zip(before, after, strict=True)]
    by_seed = [[float(statistic(c.sum(axis=0))) for c in side] for side in (before, after)]
    return _spread(by_seed, both, change)


def crossed_difference(
    before: Sequence[Floats], after: Sequence[Floats], statistic: Statistic, confidence: float
) -> Difference:
    """How much larger a statistic, averaged over seeds, is after than before.

    The same seed gives both sides the same sample, which can only make their scores more alike than
    the test, for which seeds are not paired, takes them to be.

    Args:
        before, after: an array for each seed, groups x columns, the same groups in the same order.
        statistic: of summed counts (... x columns).
        confidence: coverage of the interval.

    Returns:
        The difference; without interval and p with one seed or one group of examples, and where
        nothing varies.
    """
    value = mean_over_seeds(after, statistic) - mean_over_seeds(before, statistic)
    unknown = Difference(value, float("nan"), float("nan"), float("nan"))
    if len(before) < MIN_SEEDS or len(before[0]) < 2:
        return unknown
    spread = spread_of_difference(before, after, statistic)
    p = two_sided_p(value, spread)
    if np.isnan(p):
        return unknown
    half = half_width(spread, confidence)
    return Difference(value, value - half, value + half, p, spread)


def crossed_mean(
    counts: Sequence[Floats], statistic: Statistic, confidence: float
) -> tuple[float, float, float]:
    """A statistic averaged over two or more seeds, with its interval over seeds and examples.

    Args:
        counts, statistic, confidence: as in `crossed_difference`, of one side.

    Returns:
        The mean and the ends; NaN with one group, or where a seed or a group is all there is.
    """
    by_seed = [float(statistic(c.sum(axis=0))) for c in counts]
    value, groups = float(np.mean(by_seed)), len(counts[0])
    spread = _spread([by_seed], counts, statistic)
    if groups < 2 or not np.isfinite(spread).all():
        return value, float("nan"), float("nan")
    half = half_width(spread, confidence)
    return value, value - half, value + half
