"""How well the score of a unit that was held out is predicted, in NumPy alone."""

from __future__ import annotations

import numpy as np

from layerscope.statistics.inference import Floats
from layerscope.statistics.permutation import LEAST_UNITS


def held_out_r2(score: Floats, predictors: Floats) -> float:
    """R² of scores of units that were held out in turn, predicted from the other units.

    A score is predicted by the other units' mean in the stratum, and by how far the predictors are
    from their means in it, with one slope for each predictor over all strata. Slopes are shrunk by
    ridge regression (Hoerl and Kennard 1970, Technometrics 12, 55-67), as if there were one more
    unit in which no predictor explained anything: few units do not support many free slopes.

    R² is 1 less the squared error over that of predicting the mean of all scores of the other
    units. It is negative if the prediction is worse than that mean.

    Args:
        score: units x strata.
        predictors: predictors x units x strata; without any, the strata alone predict.

    Returns:
        R²; NaN with fewer than `LEAST_UNITS` units, without a stratum, or if all scores are equal.
    """
    units, strata = score.shape
    if units < LEAST_UNITS or not score.size or np.ptp(score) == 0:
        return float("nan")
    errors = total = 0.0
    for unit in range(units):
        others = np.arange(units) != unit
        mean, means = score[others].mean(axis=0), predictors[:, others].mean(axis=1, keepdims=True)
        apart = predictors - means
        scale = np.sqrt((apart[:, others] ** 2).mean(axis=(1, 2), keepdims=True))
        # Rounding leaves specks of what is constant.
        known = scale > 1e-12 * np.abs(predictors).max(axis=(1, 2), keepdims=True, initial=0)
        scaled = np.divide(apart, scale, out=np.zeros_like(apart), where=known)
        design = scaled[:, others].reshape(len(predictors), (units - 1) * strata)
        penalty = strata * np.eye(len(predictors))
        slopes = np.linalg.solve(
            design @ design.T + penalty, design @ (score[others] - mean).ravel()
        )
        errors += float(((score[unit] - mean - slopes @ scaled[:, unit]) ** 2).sum())
        total += float(((score[unit] - score[others].mean()) ** 2).sum())
    return 1 - errors / total
