"""The published NLI probe: a support vector machine with an RBF kernel, scikit-learn's defaults."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVC

from layerscope.probing.features import Vectors

Codes = npt.NDArray[np.int64]

#: Rows of a kernel that are worked on at a time, so that they stay in the processor's cache.
STRIP = 32


def rbf_kernels(
    train: Vectors, test: Vectors
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """RBF kernels of train with train and of test with train, gamma as in `SVC(gamma="scale")`.

    Two matrix products, where libsvm computes one pair at a time: on 4,000 x 1,536 vectors the fit
    takes 2 s and not 45. Memory: 8 bytes for each pair of rows, since all else is done in place.
    """
    rows, columns = train.astype(np.float64), test.astype(np.float64)
    variance = rows.var()
    gamma = 1 / (rows.shape[1] * variance) if variance > 0 else 1.0
    # Distances do not change when both are shifted, and small numbers round less.
    mean = rows.mean(axis=0)
    rows -= mean
    columns -= mean
    squares = (rows**2).sum(axis=1)

    def kernel(block: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        own = (block**2).sum(axis=1)
        found = block @ rows.T
        for start in range(0, len(found), STRIP):
            strip = found[start : start + STRIP]
            strip *= 2
            np.subtract(own[start : start + STRIP, None] + squares, strip, out=strip)
            np.maximum(strip, 0, out=strip)
            strip *= -gamma
            np.exp(strip, out=strip)
        return found

    return kernel(rows), kernel(columns)


def predict_svm(
    train: Vectors, labels: Codes, test: Vectors, inverse_regularisation: float
) -> Codes:
    """Fit `SVC()` on raw training vectors and predict the test rows.

    Args:
        train: rows x width, not standardised, as published.
        labels: class of each training row.
        test: rows x width.
        inverse_regularisation: C of scikit-learn.

    Returns:
        Predicted class of each test row.
    """
    if len(np.unique(labels)) == 1:
        return np.full(len(test), labels[0])
    inner, outer = rbf_kernels(train, test)
    return SVC(C=inverse_regularisation, kernel="precomputed").fit(inner, labels).predict(outer)
