"""Whether a chosen set lies outside the distribution of random sets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import t

#: Draws of random sets without which nothing is said: with two of each seed up to 0.13 of sets like
#: them would be claimed to differ, at a confidence of 0.95, where one member of a set decides.
LEAST_DRAWS = 4

Floats = npt.NDArray[np.float64]


def beyond_random(
    chosen: npt.ArrayLike, random: npt.ArrayLike, confidence: float
) -> tuple[Floats, Floats]:
    """How far a set's value is from those of random sets, and how far one of them would be.

    The second is the half-width of Student's prediction interval for one further random set. The
    sets of all seeds may be the same one: then seeds average out the noise of training, but not
    what is peculiar to the set. So the chosen set counts once, however many seeds there are, while
    random sets, drawn anew for each seed, tell how much sets differ.

    Args:
        chosen: its value of each seed: ... x seeds.
        random: ... x seeds x draws. One row of draws may stand for those of all seeds.
        confidence: of the interval, between 0 and 1.

    Returns:
        Difference of means, and the half-width; infinite with a single draw.
    """
    values, draws = np.asarray(chosen, float), np.asarray(random, float)
    seeds, count = draws.shape[-2:]
    difference = np.asarray(values.mean(axis=-1) - draws.mean(axis=(-2, -1)))
    if count < 2:
        return difference, np.full(difference.shape, np.inf)
    variance = draws.var(axis=-1, ddof=1).mean(axis=-1)
    width = t.ppf((1 + confidence) / 2, seeds * (count - 1))
    return difference, np.asarray(width * np.sqrt(variance * (1 + 1 / (seeds * count))))
