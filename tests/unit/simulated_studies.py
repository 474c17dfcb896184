"""Simulated studies in which inner measures and score are independent, or are not.

`python tests/unit/simulated_studies.py` prints the error rates that stand in docs/methods.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from layerscope.statistics.held_out import held_out_r2
from layerscope.statistics.inference import spearman
from layerscope.statistics.permutation import (
    LEAST_UNITS,
    orders_of,
    permutation_test,
    spearman_interval,
)

Array = np.ndarray


class Shape(NamedTuple):
    """Of a study."""

    models: int
    fractions: int
    seeds: int


class Null(NamedTuple):
    """Deviations of the effects of models, on each side, and of the fraction, on both alike."""

    model: float = 0
    fraction: float = 0
    families: bool = False  # whether every other model is the mean of two


DEMO, SIX, TWELVE = Shape(4, 2, 2), Shape(6, 2, 2), Shape(12, 4, 5)
NULLS = {
    "independent": Null(),
    "effects of models": Null(model=2),
    "training fraction as common cause": Null(fraction=3),
    "effects of models and fraction": Null(model=2, fraction=3),
    "the same, families of one and two models": Null(model=2, fraction=3, families=True),
}
MEASURES = 8


def simulate(
    shape: Shape, null: Null, rng: np.random.Generator, planted: float = 0
) -> tuple[Array, Array]:
    """Inner measures (measures x models x fractions x seeds), and scores without the first axis.

    Half of a model's effect is common to all measures. `planted` is the slope of the score on the
    first measure.
    """
    fraction = null.fraction * np.log(np.geomspace(10, 100, shape.fractions))[None, :, None]
    effects = rng.normal(size=(MEASURES + 2, shape.models, 1, 1))
    noise = rng.normal(size=(MEASURES + 1, *shape))
    if null.families:
        effects[:, ::2] /= np.sqrt(2)
        noise[:, ::2] /= np.sqrt(2)
    common = (effects[:MEASURES] + effects[MEASURES]) / np.sqrt(2)
    inner = null.model * common + fraction + noise[:MEASURES]
    score = null.model * effects[-1] + fraction + noise[-1] + planted * (inner[0] - fraction)
    return inner, score


def claims(shape: Shape, null: Null, number: int, planted: float = 0) -> tuple[float, float, float]:
    """How often something is claimed.

    Returns:
        Of the first measure by its own p; of any measure after correction; and of the first one.
    """
    if shape.models < LEAST_UNITS:
        return 0.0, 0.0, 0.0
    orders = orders_of(shape.models, 199, 0)
    rng = np.random.default_rng(1)
    found = []
    for _ in range(number):
        inner, score = simulate(shape, null, rng, planted)
        tested = permutation_test(inner.mean(axis=-1), score.mean(axis=-1), orders, 0.05)
        own = tested.corrected <= 0.05
        found.append((tested.p[0] <= 0.05, own.any(), own[0]))
    single, any_of_all, first = np.mean(found, axis=0)
    return float(single), float(any_of_all), float(first)


def pooled_claims(shape: Shape, null: Null, number: int) -> float:
    """The same of one measure by the rule that was: Spearman over all points, models resampled."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(number):
        inner, score = simulate(shape, null, rng)
        drawn = rng.integers(shape.models, size=(200, shape.models))
        values = [spearman(inner[0][own].ravel(), score[own].ravel()) for own in drawn]
        low, high = np.nanquantile(values, [0.025, 0.975])
        found.append(low > 0 or high < 0)
    return float(np.mean(found))


def covered(models: int, fractions: int, relation: float, by_model: float, number: int) -> float:
    """How often the interval holds the true correlation within fractions.

    Args:
        relation: Pearson's correlation of normal values.
        by_model: part of their variance that a model has in all fractions.
    """
    rng = np.random.default_rng(2)
    root = np.linalg.cholesky([[1, relation], [relation, 1]])
    orders = orders_of(models, 1, 0)[:1]
    true = 6 / np.pi * np.arcsin(relation / 2)
    held = []
    for _ in range(number):
        own, rest = (rng.normal(size=(models, n, 2)) @ root.T for n in (1, fractions))
        both = np.sqrt(by_model) * own + np.sqrt(1 - by_model) * rest
        tested = permutation_test(both[None, ..., 0], both[..., 1], orders, 0.05)
        low, high = spearman_interval(tested.value[0], tested.deviation[0], models, 0.95)
        held.append(low <= true <= high)
    return float(np.mean(held))


def gains(shape: Shape, number: int, planted: float = 0) -> list[float]:
    """Gain in held-out R² of one measure over three placebos, of which one counts."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(number):
        inner, score = (side.mean(axis=-1) for side in simulate(shape, Null(1, 1), rng, planted))
        score = score + inner[1]
        without = held_out_r2(score, inner[1:4])
        found.append(held_out_r2(score, inner[[1, 2, 3, 0]]) - without)
    return found


def main() -> None:
    for name, null in NULLS.items():
        cells = [f"{pooled_claims(shape, null, 100):.2f}" for shape in (DEMO, TWELVE)]
        for shape in (DEMO, SIX, TWELVE):
            single, any_of_all, _ = claims(shape, null, 2000)
            cells.append(f"{single:.3f}, {any_of_all:.3f}")
        print(f"| {name} | {' | '.join(cells)} |")
    for planted in (0.5, 1, 2):
        found = [claims(shape, Null(1, 3), 500, planted)[2] for shape in (SIX, TWELVE)]
        print("planted", planted, found)
    for models in (6, 12, 20):
        print("covered", models, [
            covered(models, fractions, relation, by_model, 1000)
            for fractions in (1, 4) for relation in (0, 0.5, 0.9) for by_model in (0, 0.5, 0.95)
        ])  # fmt: skip
    for planted in (0, 0.5, 1, 2):
        found = [np.asarray(gains(shape, 300, planted)) for shape in (SIX, TWELVE)]
        print("gain", planted, [((own >= 0.01).mean(), np.median(own)) for own in found])


if __name__ == "__main__":
    main()
