"""Components of variance of a crossed design with one value in each cell.

Rows and columns are drawn at random, each from what it stands for; every row meets every column.
Components are those of the analysis of variance, unbiased, and cut off at 0. Their intervals are
the modified large-sample intervals (Ting et al. 1990, Journal of Statistical Computation and
Simulation 35, 135-143; Burdick and Graybill 1992, Confidence Intervals on Variance Components,
chapter 3), which are nearly exact with few rows and columns, where Satterthwaite's are not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import chi2, f

from layerscope.statistics.inference import Floats


class Component(NamedTuple):
    """A variance with its interval."""

    variance: float
    low: float
    high: float


class Crossed(NamedTuple):
    """What the values of a crossed design vary by.

    Attributes:
        rows, columns: main effects.
        residual: what a cell has beside them: interaction, and whatever else differs by cell.
        cell: all three, the variance of one cell drawn with its own row and column.
        cell_df: its degrees of freedom.
        mean: the variance of the mean over all cells.
        mean_df: its degrees of freedom.
    """

    rows: Component
    columns: Component
    residual: Component
    cell: Component
    cell_df: float
    mean: float
    mean_df: float


def mean_squares(values: Floats) -> tuple[float, float, float]:
    """Those of rows, columns and the residual; exactly 0 where nothing varies."""
    values = np.asarray(values, np.float64)
    a, b = values.shape
    centred = values - values.mean()
    row, column = centred.mean(axis=1), centred.mean(axis=0)
    rest = centred - row[:, None] - column
    if np.ptp(values) == 0:
        return 0.0, 0.0, 0.0
    return (
        float(b * (row**2).sum() / (a - 1)),
        float(a * (column**2).sum() / (b - 1)),
        float((rest**2).sum() / ((a - 1) * (b - 1))),
    )


def _difference(
    one: float, df: int, other: float, other_df: int, scale: int, confidence: float
) -> Component:
    """A component (one - other) / scale of two mean squares."""
    low_tail, high_tail = (1 - confidence) / 2, (1 + confidence) / 2
    g1, g2 = (1 - each / chi2.ppf(high_tail, each) for each in (df, other_df))
    h1, h2 = (each / chi2.ppf(low_tail, each) - 1 for each in (df, other_df))
    upper, lower = f.ppf(high_tail, df, other_df), f.ppf(low_tail, df, other_df)
    g12 = ((upper - 1) ** 2 - (g1 * upper) ** 2 - h2**2) / upper
    h12 = ((1 - lower) ** 2 - (h1 * lower) ** 2 - g2**2) / lower
    below = (g1 * one) ** 2 + (h2 * other) ** 2 + g12 * one * other
    above = (h1 * one) ** 2 + (g2 * other) ** 2 + h12 * one * other
    ends = (one - other - np.sqrt(max(below, 0)), one - other + np.sqrt(max(above, 0)))
    found = (max(float(value), 0.0) / scale for value in (one - other, *ends))
    return Component(*found)


def _sum(squares: Floats, df: Floats, weights: Floats, confidence: float) -> Component:
    """A weighted sum of mean squares, weights above 0 (Graybill and Wang 1980, JASA 75)."""
    parts = weights * squares
    g = 1 - df / chi2.ppf((1 + confidence) / 2, df)
    h = df / chi2.ppf((1 - confidence) / 2, df) - 1
    value = float(parts.sum())
    below, above = (float(np.sqrt(((each * parts) ** 2).sum())) for each in (g, h))
    return Component(value, value - below, value + above)


def crossed(values: Floats, confidence: float) -> Crossed:
    """Components of rows x columns of values.

    The mean over all cells varies by rows, columns and residual. Its estimate subtracts a mean
    square, so it is never taken for less than that of rows or of columns alone, and its degrees of
    freedom are Satterthwaite's of these two. Those of a cell are Satterthwaite's of all three.

    Args:
        values: at least two rows and two columns, all finite.
        confidence: of the intervals.
    """
    a, b = np.shape(values)
    squares = mean_squares(values)
    row, column, rest = squares
    df = np.array([a - 1, b - 1, (a - 1) * (b - 1)])
    weights = np.array([1 / b, 1 / a, 1 - 1 / a - 1 / b])
    parts = weights * np.array(squares)
    mean = max(row + column - rest, row, column) / (a * b)
    both = row**2 / df[0] + column**2 / df[1]
    return Crossed(
        rows=_difference(row, df[0], rest, df[2], b, confidence),
        columns=_difference(column, df[1], rest, df[2], a, confidence),
        residual=_sum(np.array([rest]), df[2:], np.ones(1), confidence),
        cell=_sum(np.array(squares), df, weights, confidence),
        cell_df=float(parts.sum() ** 2 / (parts**2 / df).sum()) if parts.any() else float(min(df)),
        mean=mean,
        mean_df=(row + column) ** 2 / both if both else float(min(df[:2])),
    )
