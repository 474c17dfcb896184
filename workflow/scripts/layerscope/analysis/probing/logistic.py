"""Multinomial logistic regressions of several label sets over the same vectors, fitted together.

The optimum is scikit-learn's (`LogisticRegression`), on large sets reached ten times faster. What
takes the time of L-BFGS is the number of passes over the vectors. Four things make it small:

- Parameters are scaled by a Cholesky factor of the Hessian as it is where nothing but the frequency
  of classes is known, a multiple of X'X and of the penalty. It costs one product, and some twenty
  steps do what takes hundreds without.
- Logits are linear in the parameters, so that a line is searched on logits alone: a step takes one
  product with the vectors and one with their transpose, whatever its length turns out to be.
- Where there are fewer rows than columns, everything happens in the space that the rows span.
- The true labels and those of the control task are columns of the same products.

The objective is scikit-learn's: mean loss plus |W|^2 / (2 C n), intercepts free.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

Vectors = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Pairs of steps and changes of the gradient that L-BFGS remembers.
MEMORY = 10


class Problems:
    """Losses of P label sets with K classes each: arrays are P x K x D, and P x K x n for logits.

    Parameters have D = d + 1 columns, the last one the intercept.
    """

    def __init__(self, vectors: Vectors, labels: Sequence[Codes], classes: int, c: float) -> None:
        rows, width = vectors.shape
        self.vectors, self.shape = vectors, (len(labels), classes, width + 1)
        # Two classes with a weight vector each carry half the penalty of one that separates them.
        self.penalty = (2 if classes == 2 else 1) / (c * rows)
        self.targets = np.zeros((len(labels), classes, rows), np.float32)
        for problem, codes in enumerate(labels):
            self.targets[problem, codes, np.arange(rows)] = 1
        shares = np.maximum(self.targets.mean(axis=2), 1 / rows).astype(np.float64)
        self.spread = np.sqrt(shares * (1 - np.minimum(shares, 0.99)))[:, :, None]
        gram = (vectors.T @ vectors).astype(np.float64) / rows
        self.factor = _factor(gram, self.penalty / float(np.mean(self.spread**2)) + 1e-6)

    def whitened(self, gradient: Floats) -> Floats:
        """A gradient by parameters as one by scaled parameters."""
        inner = gradient[:, :, :-1].reshape(-1, self.shape[2] - 1)
        solved = solve_triangular(self.factor, inner.T, lower=True, check_finite=False).T
        whole = np.concatenate([solved.reshape(gradient[:, :, :-1].shape), gradient[:, :, -1:]], 2)
        return whole / self.spread

    def unscaled(self, scaled: Floats) -> Floats:
        """Parameters, or a direction, of scaled ones."""
        scaled = scaled / self.spread
        inner = scaled[:, :, :-1].reshape(-1, self.shape[2] - 1)
        solved = solve_triangular(self.factor, inner.T, lower=True, trans=1, check_finite=False).T
        return np.concatenate([solved.reshape(scaled[:, :, :-1].shape), scaled[:, :, -1:]], 2)

    def logits(self, parameters: Floats) -> Vectors:
        """One product with the vectors for all label sets."""
        weights = parameters[:, :, :-1].reshape(-1, self.shape[2] - 1).astype(np.float32)
        found = (self.vectors @ weights.T).T.reshape(*self.shape[:2], -1)
        return np.ascontiguousarray(found) + parameters[:, :, -1:].astype(np.float32)

    def gradient(self, parameters: Floats, shares: Vectors) -> Floats:
        """Of the objective, from the probabilities of classes; one product for all label sets."""
        errors = shares - self.targets
        rows = errors.shape[2]
        inner = errors.reshape(-1, rows) @ self.vectors
        found = np.concatenate(
            [inner.reshape(*self.shape[:2], -1), errors.sum(axis=2, keepdims=True)], axis=2
        ).astype(np.float64)
        found /= rows
        found[:, :, :-1] += self.penalty * parameters[:, :, :-1]
        return found


def _factor(gram: Floats, penalty: float) -> Floats:
    """Cholesky factor of a Hessian. Rounding may ask for a larger penalty: it only scales."""
    while True:
        shifted = gram + penalty * np.eye(len(gram))
        try:
            found = np.linalg.cholesky(shifted).astype(np.float64, copy=False)
        except np.linalg.LinAlgError:
            penalty *= 10
        else:
            return found


def _softmax(logits: Vectors) -> Vectors:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _length(
    problems: Problems, at: Floats, move: Floats, logits: Vectors, change: Vectors
) -> tuple[Floats, Vectors]:
    """How far to go along a line, by Newton's method on logits; and probabilities there.

    The loss is convex along a line. Two steps are as good as the exact length; a step is at most
    doubled or halved away from 1.
    """
    rows = logits.shape[2]
    penalty = problems.penalty
    along = penalty * np.einsum("pkd,pkd->p", at[:, :, :-1], move[:, :, :-1])
    curved = penalty * np.einsum("pkd,pkd->p", move[:, :, :-1], move[:, :, :-1])
    length = np.ones(len(at))
    toward = np.einsum("pkn,pkn->p", problems.targets, change) / rows
    for _ in range(2):
        shares = _softmax(logits + length.astype(np.float32)[:, None, None] * change)
        weighted = shares * change
        means = weighted.sum(axis=1)
        slope = means.sum(axis=1, dtype=np.float64) / rows - toward + along + length * curved
        bend = np.einsum("pkn,pkn->p", weighted, change) - np.einsum("pn,pn->p", means, means)
        length = np.clip(
            length - slope / np.maximum(bend / rows + curved, 1e-12), length / 4, 4 * length
        )
    return length, _softmax(logits + length.astype(np.float32)[:, None, None] * change)


def _directions(gradient: Floats, pairs: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The two loops of L-BFGS (Nocedal 1980), each label set by itself."""

    def dot(a: Floats, b: Floats) -> Floats:
        return np.einsum("pkd,pkd->p", a, b)[:, None, None]

    found = -gradient
    factors = []
    for step, turn in reversed(pairs):
        product = np.maximum(dot(step, turn), 1e-300)
        factors.append((dot(step, found) / product, product))
        found = found - factors[-1][0] * turn
    if pairs:
        step, turn = pairs[-1]
        found = found * dot(step, turn) / np.maximum(dot(turn, turn), 1e-300)
    for (step, turn), (factor, product) in zip(pairs, reversed(factors), strict=True):
        found = found + (factor - dot(turn, found) / product) * step
    return found


def fit(
    vectors: Vectors,
    labels: Sequence[Codes],
    classes: int,
    inverse_regularisation: float = 1.0,
    max_iterations: int = 200,
    tolerance: float = 1e-4,
) -> tuple[Floats, int]:
    """Fit one multinomial logistic regression a label set.

    Args:
        vectors: rows x width, float32, standardised.
        labels: class of each row, once a label set; every class has a row.
        classes: number of classes, at least 2.
        inverse_regularisation: C of scikit-learn.
        max_iterations: the most steps.
        tolerance: largest entry of every gradient at which to stop; scikit-learn's and its default.

    Returns:
        Parameters, label sets x classes x (width + 1), and the number of steps.
    """
    rows, width = vectors.shape
    if rows < width:
        # Weights at the optimum are sums of rows, and as long in any orthonormal basis of them.
        basis = np.linalg.qr(vectors.T)[0]
        found, steps = fit(
            vectors @ basis, labels, classes, inverse_regularisation, max_iterations, tolerance
        )
        return np.concatenate([found[..., :-1] @ basis.T, found[..., -1:]], axis=2), steps
    problems = Problems(vectors, labels, classes, inverse_regularisation)
    scaled = np.zeros(problems.shape)
    parameters = np.zeros(problems.shape)
    logits = np.zeros((*problems.shape[:2], len(vectors)), np.float32)
    gradient = problems.gradient(parameters, _softmax(logits))
    inner = problems.whitened(gradient)
    pairs: list[tuple[Floats, Floats]] = []
    for iteration in range(max_iterations):
        if np.abs(gradient).max() <= tolerance:
            return parameters, iteration
        direction = _directions(inner, pairs)
        move = problems.unscaled(direction)
        change = problems.logits(move)
        length, shares = _length(problems, parameters, move, logits, change)
        step = length[:, None, None] * direction
        scaled += step
        parameters += length[:, None, None] * move
        logits += length.astype(np.float32)[:, None, None] * change
        gradient = problems.gradient(parameters, shares)
        before, inner = inner, problems.whitened(gradient)
        pairs = [*pairs[1 - MEMORY :], (step, inner - before)]
    return parameters, max_iterations


def scores(parameters: Floats, vectors: Vectors) -> Vectors:
    """Logits, rows x label sets x classes, of vectors (rows x width, float32)."""
    sets, classes, columns = parameters.shape
    weights = parameters[:, :, :-1].reshape(-1, columns - 1).astype(np.float32)
    found = (vectors @ weights.T).reshape(len(vectors), sets, classes)
    return found + parameters[:, :, -1].astype(np.float32)


def predict(parameters: Floats, vectors: Vectors) -> list[Codes]:
    """Class of each row (rows x width, float32), once a label set."""
    return list(scores(parameters, vectors).argmax(axis=2).T)


def probabilities(parameters: Floats, vectors: Vectors) -> Floats:
    """Probabilities of classes, label sets x rows x classes."""
    logits = scores(parameters, vectors).astype(np.float64)
    shares = np.exp(logits - logits.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    return shares.transpose(1, 0, 2)
