"""The linear probe: multinomial logistic regression."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from layerscope.analysis.probing.features import Vectors
from layerscope.analysis.probing.logistic import fit, predict

Codes = npt.NDArray[np.int64]

log = logging.getLogger(__name__)


def predict_linear(
    train: Vectors,
    label_sets: Sequence[Codes],
    test: Vectors,
    inverse_regularisation: float,
    max_iterations: int,
) -> list[Codes]:
    """Fit on the training rows and predict the test rows, once a set of labels.

    Args:
        train: rows x width, float32, standardised.
        label_sets: class of each training row; several sets, such as those of a control task,
            take little longer than one.
        test: rows x width, float32, standardised with the training rows.
        inverse_regularisation: C of scikit-learn.
        max_iterations: of L-BFGS; a fit that needs more is used as it is, and logged.

    Returns:
        Predicted class of each test row, for each set of labels.
    """
    found: dict[int, Codes] = {}
    alike: dict[int, list[tuple[int, Codes, Codes]]] = {}  # by number of classes that are there
    for place, labels in enumerate(label_sets):
        names, codes = np.unique(labels, return_inverse=True)
        if len(names) == 1:
            found[place] = np.full(len(test), names[0])
        else:
            alike.setdefault(len(names), []).append((place, names, codes))
    for classes, members in alike.items():
        parameters, iterations = fit(
            train, [codes for *_, codes in members], classes, inverse_regularisation, max_iterations
        )
        if iterations >= max_iterations:
            log.info("linear probe: stopped after %d iterations, not converged", iterations)
        for (place, names, _), answers in zip(members, predict(parameters, test), strict=True):
            found[place] = names[answers]
    return [found[place] for place in range(len(label_sets))]
