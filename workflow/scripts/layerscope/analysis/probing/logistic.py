"""Multinomial logistic regressions of several label sets over the same vectors, fitted together.

The optimum is scikit-learn's (`LogisticRegression`), on large sets reached ten times faster. What
takes the time of L-BFGS is the number of passes over the vectors. Four things make it small:

- Vectors are turned to their principal axes, where the Hessian, as it is where nothing but the
  frequency of classes is known, is diagonal. Parameters are scaled by its root, and some twenty
  steps do what takes hundreds without.
- Logits are linear in the parameters, so that a line is searched on logits alone: a step takes one
  product with the vectors and one with their transpose, whatever its length turns out to be.
- Where there are fewer rows than columns, everything happens in the space that the rows span.
- The true labels, those of the control task, and the parts of a cross-validation are columns of the
  same products.

The objective is scikit-learn's: mean loss plus |W|^2 / (2 C n), intercepts free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32] | npt.NDArray[np.bool_]

#: Largest entry of a gradient at which a fit has converged.
TOLERANCE = 1e-6
#: Steps without a smaller gradient after which a fit ends: rounding to float32 allows no more.
PATIENCE = 10
#: Pairs of steps and changes of the gradient that L-BFGS remembers.
MEMORY = 10


class Axes(NamedTuple):
    """Vectors turned to their principal axes, or to those of the space that they span.

    Weights at the optimum are sums of rows, and as long in any orthonormal basis of them.
    """

    vectors: Vectors  # rows x axes
    basis: Vectors  # columns x axes
    moments: Floats  # mean square along each axis

    def parameters(self, found: Floats) -> Floats:
        """Parameters for the vectors as they were; the last column, intercepts, stays."""
        return np.concatenate([found[..., :-1] @ self.basis.T, found[..., -1:]], axis=2)


def principal_axes(vectors: Vectors) -> Axes:
    """Turn vectors (rows x columns, float32) to their principal axes."""
    basis = None
    if len(vectors) < vectors.shape[1]:
        basis = np.linalg.qr(vectors.T)[0]
        vectors = vectors @ basis
    gram = (vectors.T @ vectors).astype(np.float64) / len(vectors)
    moments, turn = np.linalg.eigh(gram)
    turned = turn.astype(np.float32)
    whole = turned if basis is None else basis @ turned
    return Axes(vectors @ turned, whole, np.maximum(moments, 0))


class Problems:
    """Losses of P label sets with K classes each: arrays are P x K x D, and P x K x n for logits.

    Parameters have D = d + 1 columns, the last one the intercept.

    Args:
        axes: vectors, n x d.
        labels: class of each row, once a label set.
        classes: K.
        c: of the penalty.
        weights: how often each row counts in each label set, P x n, 0 among them; None for once.
        ridge: penalty of intercepts, half its product with their squares; it is needed where a
            class has no row that counts, whose intercept would have no end.
    """

    def __init__(
        self,
        axes: Axes,
        labels: Sequence[Codes],
        classes: int,
        c: float,
        weights: Weights | None = None,
        ridge: float = 0.0,
    ) -> None:
        rows, width = axes.vectors.shape
        self.vectors, self.weights = axes.vectors, weights
        self.shape = (len(labels), classes, width + 1)
        self.targets = np.zeros((len(labels), classes, rows), np.float32)
        for problem, codes in enumerate(labels):
            self.targets[problem, codes, np.arange(rows)] = 1
        if weights is not None:
            self.targets *= weights[:, None]
        self.counts = np.full(len(labels), rows) if weights is None else weights.sum(axis=1)
        # Two classes with a weight vector each carry half the penalty of one that separates them.
        self.penalty = np.full(self.shape, ridge)
        self.penalty[:, :, :-1] = (2 if classes == 2 else 1) / (c * self.counts[:, None, None])
        shares = self.targets.sum(axis=2) / self.counts[:, None]
        shares = np.maximum(shares, 1 / rows).astype(np.float64)
        spread = (shares * (1 - np.minimum(shares, 0.99)))[:, :, None]
        moments = np.append(axes.moments, 1.0)  # of intercepts
        self.scale = np.sqrt(spread * (moments + 1e-6) + self.penalty)

    def weighted(self, values: Vectors) -> Vectors:
        """Values of rows (P x K x n), as often as each counts."""
        return values if self.weights is None else values * self.weights[:, None]

    def logits(self, parameters: Floats) -> Vectors:
        """One product with the vectors for all label sets."""
        weights = parameters[:, :, :-1].reshape(-1, self.shape[2] - 1).astype(np.float32)
        found = (self.vectors @ weights.T).T.reshape(*self.shape[:2], -1)
        return np.ascontiguousarray(found) + parameters[:, :, -1:].astype(np.float32)

    def gradient(self, parameters: Floats, shares: Vectors) -> Floats:
        """Of the objective, from the probabilities of classes; one product for all label sets."""
        errors = self.weighted(shares) - self.targets
        inner = errors.reshape(-1, errors.shape[2]) @ self.vectors
        found = np.concatenate(
            [inner.reshape(*self.shape[:2], -1), errors.sum(axis=2, keepdims=True)], axis=2
        ).astype(np.float64)
        found /= self.counts[:, None, None]
        return found + self.penalty * parameters


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
    rows, penalty = problems.counts, problems.penalty
    along = np.einsum("pkd,pkd,pkd->p", penalty, at, move)
    curved = np.einsum("pkd,pkd,pkd->p", penalty, move, move)
    length = np.ones(len(at))
    toward = np.einsum("pkn,pkn->p", problems.targets, change) / rows
    for _ in range(2):
        shares = _softmax(logits + length.astype(np.float32)[:, None, None] * change)
        plain = shares * change
        weighted = problems.weighted(plain)
        means = weighted.sum(axis=1)
        slope = means.sum(axis=1, dtype=np.float64) / rows - toward + along + length * curved
        bend = np.einsum("pkn,pkn->p", weighted, change)
        bend -= np.einsum("pn,pn->p", means, plain.sum(axis=1))
        length = np.clip(
            length - slope / np.maximum(bend / rows + curved, 1e-12), length / 4, 4 * length
        )
    return length, _softmax(logits + length.astype(np.float32)[:, None, None] * change)


class _Pair(NamedTuple):
    """A step, the change of the gradient along it, and what L-BFGS makes of both, by label set."""

    step: Floats
    turn: Floats
    inverse: Floats  # of their product; 0 without curvature
    scale: Floats  # of the inverse Hessian


def _dot(a: Floats, b: Floats) -> Floats:
    return np.einsum("pkd,pkd->p", a, b)[:, None, None]


def _pair(step: Floats, turn: Floats) -> _Pair:
    """A pair; one without curvature, which rounding leaves of a set that has converged, is void."""
    product, size = _dot(step, turn), _dot(turn, turn)
    curved = product > 1e-10 * np.sqrt(_dot(step, step) * size)
    inverse = np.where(curved, 1 / np.where(curved, product, 1), 0)
    return _Pair(step, turn, inverse, np.where(curved, product / np.where(curved, size, 1), 1))


def _directions(gradient: Floats, pairs: Sequence[_Pair]) -> Floats:
    """The two loops of L-BFGS (Nocedal 1980), each label set by itself."""
    found = -gradient
    factors = []
    for pair in reversed(pairs):
        factors.append(pair.inverse * _dot(pair.step, found))
        found = found - factors[-1] * pair.turn
    if pairs:
        found = found * pairs[-1].scale
    for pair, factor in zip(pairs, reversed(factors), strict=True):
        found = found + (factor - pair.inverse * _dot(pair.turn, found)) * pair.step
    return found


def fit(
    vectors: Vectors,
    labels: Sequence[Codes],
    classes: int,
    inverse_regularisation: float = 1.0,
    max_iterations: int = 200,
    tolerance: float = TOLERANCE,
) -> tuple[Floats, int]:
    """Fit one multinomial logistic regression a label set.

    Args:
        vectors: rows x width, float32, standardised.
        labels: class of each row, once a label set; every class has a row.
        classes: number of classes, at least 2.
        inverse_regularisation: C of scikit-learn.
        max_iterations: the most steps.
        tolerance: largest entry of every gradient at which to stop.

    Returns:
        Parameters, label sets x classes x (width + 1), and the number of steps.
    """
    axes = principal_axes(vectors)
    problems = Problems(axes, labels, classes, inverse_regularisation)
    found, _, steps = minimise(problems, max_iterations, tolerance)
    return axes.parameters(found), steps


def minimise(
    problems: Problems, max_iterations: int, tolerance: float, start: Floats | None = None
) -> tuple[Floats, Vectors, int]:
    """Minimise the losses together.

    Args:
        problems: the losses.
        max_iterations: the most steps.
        tolerance: largest entry of every gradient at which to stop.
        start: parameters to start from; None for zeros.

    Returns:
        Parameters (P x K x D), logits of all rows (P x K x n), and the number of steps.
    """
    parameters = np.zeros(problems.shape) if start is None else start.copy()
    logits = problems.logits(parameters)
    gradient = problems.gradient(parameters, _softmax(logits))
    inner = gradient / problems.scale
    pairs: list[_Pair] = []
    least, waited = np.inf, 0
    for iteration in range(max_iterations):
        worst = float(np.abs(gradient).max())
        least, waited = (worst, 0) if worst < least else (least, waited + 1)
        if worst <= tolerance or waited >= PATIENCE:
            return parameters, logits, iteration
        direction = _directions(inner, pairs)
        move = direction / problems.scale
        change = problems.logits(move)
        length, shares = _length(problems, parameters, move, logits, change)
        parameters += length[:, None, None] * move
        logits += length.astype(np.float32)[:, None, None] * change
        gradient = problems.gradient(parameters, shares)
        before, inner = inner, gradient / problems.scale
        pairs = [*pairs[1 - MEMORY :], _pair(length[:, None, None] * direction, inner - before)]
    return parameters, logits, max_iterations


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
