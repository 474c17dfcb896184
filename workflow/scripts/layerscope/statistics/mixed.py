"""A linear mixed-effects model with a random intercept for each group."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from layerscope.statistics.inference import cluster_index

#: Groups, and points more than groups, without which nothing is estimated.
LEAST_GROUPS, LEAST_SPARE = 3, 3
#: Variance of the intercepts over that of the rest below which the model is singular.
SINGULAR = 1e-6


class Estimate(NamedTuple):
    """A slope with its interval, all NaN if there is none, and why."""

    value: float
    low: float
    high: float
    reason: str = ""


def _none(reason: str) -> Estimate:
    return Estimate(float("nan"), float("nan"), float("nan"), reason)


def _standardised(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=float)
    return (array - array.mean()) / array.std()


def _varies_within(values: npt.ArrayLike, groups: Sequence[Any]) -> bool:
    """Whether values differ in any group, beyond specks of rounding."""
    array = np.asarray(values, dtype=float)
    spread = max(float(np.ptp(array[rows])) for rows in cluster_index(groups))
    return spread > 1e-12 * float(np.abs(array).max())


def mixed_slope(
    x: npt.ArrayLike, y: npt.ArrayLike, groups: Sequence[Any], confidence: float
) -> Estimate:
    """Fixed slope of y on x, both standardised, with a random intercept for each group.

    By restricted maximum likelihood (Laird and Ware 1982, Biometrics 38, 963-974), with Wald's
    interval. The slope is the same in all groups by assumption.

    Args:
        x, y: a value a point.
        groups: of each point.
        confidence: of the interval.
    """
    number = len(set(groups))
    if number < LEAST_GROUPS or len(groups) < number + LEAST_SPARE:
        return _none("too few models or variants")
    if not (_varies_within(x, groups) and _varies_within(y, groups)):
        return _none("constant within models")

    from statsmodels.regression.mixed_linear_model import MixedLM

    design = np.column_stack([np.ones(len(groups)), _standardised(x)])
    model = MixedLM(_standardised(y), design, groups=np.asarray(groups))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # what they say is asked for below
        try:
            # Powell's search needs no gradient, which misleads others where the variance nears 0.
            fit = model.fit(reml=True, method="powell")
            low, high = (float(end) for end in np.asarray(fit.conf_int(alpha=1 - confidence))[1])
        except (np.linalg.LinAlgError, ValueError):
            return _none("singular")
    if not fit.converged:
        return _none("not converged")
    value, between = float(np.asarray(fit.fe_params)[1]), float(np.asarray(fit.cov_re)[0, 0])
    if between <= SINGULAR * float(fit.scale) or not np.isfinite([value, low, high]).all():
        return _none("singular")
    return Estimate(value, low, high)
