"""Whether a model is as often right as it is sure, as statistics of summed counts.

As in `metrics`, every count array has a row an example or word, and every statistic takes summed
counts with any leading dimensions, so that a bootstrap is one matrix product.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

#: Bins of equal width, as many as Guo et al. (2017) take.
BINS = 15


def bin_of(confidence: Floats) -> Codes:
    """Bin of each confidence, from 0: bin m holds what is above m/BINS and at most (m + 1)/BINS."""
    return np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(np.int64)


def bin_counts(confidence: Floats, right: npt.NDArray[np.bool_]) -> Floats:
    """Rows x 4 BINS: in the row's bin 1, its confidence, whether it was right, and the variance of
    that if it were right with the probability that it names."""
    placed = bin_of(confidence)[:, None] == np.arange(BINS)
    columns = (np.ones(len(confidence)), confidence, right, confidence * (1 - confidence))
    return np.hstack([placed * np.asarray(column, float)[:, None] for column in columns])


def _bins(counts: npt.ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
    rows, sure, right, variance = np.split(np.asarray(counts, dtype=float), 4, axis=-1)
    return rows, sure, right, variance


def ece_of(counts: npt.ArrayLike) -> Floats:
    """Expected calibration error: summed `bin_counts` (... x 4 BINS) to (...).

    The mean over rows of how far accuracy and mean confidence of their bin lie apart (Naeini et
    al. 2015).
    """
    rows, sure, right, _ = _bins(counts)
    return np.abs(sure - right).sum(axis=-1) / rows.sum(axis=-1)


def calibrated_ece_of(counts: npt.ArrayLike) -> Floats:
    """The ECE that so many rows with these confidences would have if the model were calibrated.

    It is above 0 because accuracy in a bin of few rows is noisy. By the normal approximation the
    mean distance of a bin is the square root of 2/pi times its variance; rows are taken as
    independent.
    """
    rows, _, _, variance = _bins(counts)
    return np.sqrt(2 / np.pi * variance).sum(axis=-1) / rows.sum(axis=-1)


def brier_counts(probabilities: Floats, codes: Codes) -> Floats:
    """Rows x 2: squared distance of probabilities (rows x K) from the true label as 0 and 1; 1."""
    truth = codes[:, None] == np.arange(probabilities.shape[1])
    return np.stack([((probabilities - truth) ** 2).sum(axis=1), np.ones(len(codes))], axis=1)


def ratio_of(counts: npt.ArrayLike) -> Floats:
    """The first of two summed counts over the second, NaN where that is 0: (... x 2) to (...)."""
    above, below = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
