"""The linear probe: multinomial logistic regression."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from layerscope.probing.features import Vectors

Codes = npt.NDArray[np.int64]

log = logging.getLogger(__name__)

#: Largest gradient of the mean loss at which L-BFGS stops. Ten times scikit-learn's default: it
#: moves accuracy by less than the test set can tell and halves the time.
TOLERANCE = 1e-3


def predict_linear(
    train: Vectors,
    labels: Codes,
    test: Vectors,
    inverse_regularisation: float,
    max_iterations: int,
) -> Codes:
    """Fit on the training rows and predict the test rows.

    Args:
        train: rows x width, float32, standardised.
        labels: class of each training row.
        test: rows x width, float32, standardised with the training rows.
        inverse_regularisation: C of scikit-learn.
        max_iterations: of L-BFGS; a fit that needs more is used as it is, and logged.

    Returns:
        Predicted class of each test row.
    """
    if len(np.unique(labels)) == 1:
        return np.full(len(test), labels[0])
    model = LogisticRegression(C=inverse_regularisation, max_iter=max_iterations, tol=TOLERANCE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, labels)
    if model.n_iter_.max() >= max_iterations:
        log.info("linear probe: stopped after %d iterations, not converged", max_iterations)
    return model.predict(test)
