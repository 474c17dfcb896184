"""Components of variance: closed forms, and simulations of what intervals cover."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.statistics.components import crossed, mean_squares


def test_mean_squares_are_those_of_a_worked_example() -> None:
    """Sums of squares by hand: rows 6, columns 24, the rest 2."""
    values = np.array([[1.0, 2, 6], [2, 5, 6], [3, 5, 9]]) - 1
    row = 3 * ((values.mean(axis=1) - values.mean()) ** 2).sum()
    column = 3 * ((values.mean(axis=0) - values.mean()) ** 2).sum()
    total = ((values - values.mean()) ** 2).sum()
    assert mean_squares(values) == pytest.approx((row / 2, column / 2, (total - row - column) / 4))


def test_additive_effects_leave_no_residual_and_nothing_varies_by_nothing() -> None:
    found = crossed(np.add.outer([0.0, 1, 2], [0.0, 10, 20]), 0.95)
    assert (found.rows.variance, found.columns.variance) == pytest.approx((1, 100))
    assert found.residual.variance == pytest.approx(0, abs=1e-12)
    assert found.cell.variance == pytest.approx(101)
    assert found.mean == pytest.approx(101 / 3)
    flat = crossed(np.full((2, 3), 0.1), 0.95)
    assert flat[:4] == ((0, 0, 0),) * 4
    assert (flat.mean, flat.cell_df) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deviations", "shape"),
    [
        ((1, 1, 1), (3, 3)), ((0.1, 1, 0.5), (3, 3)), ((2, 0.3, 1), (3, 3)), ((0, 0, 1), (3, 3)),
        ((1, 1, 1), (4, 6)),
    ],
)  # fmt: skip
def test_intervals_cover_and_components_are_unbiased(
    deviations: tuple[float, float, float], shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    rows, columns, rest = deviations
    true = np.square([rows, columns, rest])
    true = np.array([*true, true.sum()])
    draws, covered = 250, np.zeros(4)
    means = []
    for _ in range(draws):
        values = rest * rng.normal(size=shape)
        values += rows * rng.normal(size=(shape[0], 1)) + columns * rng.normal(size=shape[1])
        found = crossed(values, 0.95)
        means.append([mean_squares(values)[2], found.cell.variance])
        covered += [low <= t <= high for (_, low, high), t in zip(found[:4], true, strict=True)]
    # Cut off at 0, an interval of a component that is 0 covers it from above.
    assert (covered / draws >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / draws)).all(), covered / draws
    assert np.mean(means, axis=0) == pytest.approx(true[2:], rel=0.3)
