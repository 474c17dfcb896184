"""The test of a chosen set against random ones: a closed form, and its error by simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import t

from layerscope.statistics.random_sets import LEAST_DRAWS, beyond_random

Draw = Callable[[np.random.Generator, int], np.ndarray]


def test_one_seed_gives_students_prediction_interval() -> None:
    draws = [0.1, 0.3, 0.2, 0.6]
    difference, half = beyond_random([0.9], [draws], 0.95)
    assert difference == pytest.approx(0.6)
    assert half == pytest.approx(t.ppf(0.975, 3) * np.std(draws, ddof=1) * np.sqrt(1 + 1 / 4))
    assert beyond_random([0.9], [[0.1]], 0.95)[1] == np.inf


def normal(rng: np.random.Generator, size: int) -> np.ndarray:
    return 0.05 * rng.standard_normal(size)


def one_head(rng: np.random.Generator, size: int) -> np.ndarray:
    """A quarter of all sets holds the one head that matters."""
    return -0.3 * (rng.random(size) < 0.25)


def skewed(rng: np.random.Generator, size: int) -> np.ndarray:
    return -0.05 * rng.exponential(size=size)


def claims(
    peculiar: Draw, same: bool, draws: int, effect: float = 0.0, pooled: bool = False
) -> float:
    """How often a set that is drawn as the random ones are, or has an effect, is claimed.

    Three seeds; with `pooled`, their draws (a control each) are those of one row.
    """
    rng, times, seeds = np.random.default_rng(5), 20_000, 3
    shape = (times, seeds, draws + 1)
    sets = peculiar(rng, times * seeds * (draws + 1)).reshape(shape)
    sets[..., 0] = (sets[:, :1, 0] if same else sets[..., 0]) + effect
    level = 0 if pooled else 0.7 + 0.03 * rng.standard_normal((times, seeds, 1))  # of each model
    values = level + sets + 0.01 * rng.standard_normal(shape)
    random = values[..., 1:].reshape(times, 1, -1) if pooled else values[..., 1:]
    difference, half = beyond_random(values[..., 0], random, 0.95)
    return float(np.mean(np.abs(difference) > half))


@pytest.mark.parametrize("peculiar", [normal, one_head, skewed])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("draws", [LEAST_DRAWS, 5])
def test_a_set_like_the_random_ones_is_seldom_claimed(
    peculiar: Draw, same: bool, draws: int
) -> None:
    """Whether the sets of all seeds are the same one or not, and whatever makes sets differ."""
    assert claims(peculiar, same, draws) <= 0.07


@pytest.mark.parametrize("same", [True, False])
def test_an_erasure_like_its_controls_is_seldom_claimed(same: bool) -> None:
    """One control a seed; a change of score, so that seeds have no level of their own."""
    assert claims(normal, same, 1, pooled=True) <= 0.07


def test_an_effect_is_found() -> None:
    assert claims(normal, True, 5, effect=-0.25) > 0.9
