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

Arrays are numpy's, or tensors on a device of PyTorch: what is computed is written once, in the
names that both have (the array API standard).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import array_api_compat as api
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32] | npt.NDArray[np.bool_]
#: Of numpy, or a tensor on a device; what it holds is said where it is given.
Array = Any

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

    vectors: Array  # rows x axes, float32
    basis: Array  # columns x axes, float32
    moments: Array  # mean square along each axis, float64

    def parameters(self, found: Array) -> Floats:
        """Parameters for the vectors as they were; the last column, intercepts, stays."""
        found = to_numpy(found)
        weights = found[..., :-1] @ to_numpy(self.basis).T
        return np.concatenate([weights, found[..., -1:]], axis=2)


def to_numpy(values: Array) -> npt.NDArray[Any]:
    """An array or a tensor, wherever it is, as an array of numpy."""
    return np.asarray(api.to_device(values, "cpu"))


def principal_axes(vectors: Vectors, device: str | torch.device | None = None) -> Axes:
    """Turn vectors (rows x columns, float32) to their principal axes.

    Args:
        vectors: to turn.
        device: of PyTorch, on which the axes are and what is fitted along them is computed; None
            for numpy.
    """
    found: Array = vectors
    if device is not None:
        import torch

        found = torch.from_numpy(np.ascontiguousarray(vectors)).to(device)
    xp = api.array_namespace(found)
    basis = None
    if found.shape[0] < found.shape[1]:
        basis = xp.linalg.qr(found.T)[0]
        found = found @ basis
    gram = xp.astype(found.T @ found, xp.float64) / found.shape[0]
    moments, turn = xp.linalg.eigh(gram)
    turned = xp.astype(turn, xp.float32)
    whole = turned if basis is None else basis @ turned
    return Axes(found @ turned, whole, xp.where(moments > 0, moments, 0.0))


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
        self.vectors = axes.vectors
        self.xp = xp = api.array_namespace(axes.vectors)
        self.shape = (len(labels), classes, width + 1)
        targets = np.zeros((len(labels), classes, rows), np.float32)
        for problem, codes in enumerate(labels):
            targets[problem, codes, np.arange(rows)] = 1
        if weights is None:
            self.weights, counts = None, np.full(len(labels), float(rows))
        else:
            targets *= weights[:, None]
            self.weights, counts = self.array(weights), weights.sum(axis=1)
            counts = counts.astype(float) if weights.dtype == bool else counts
        # Two classes with a weight vector each carry half the penalty of one that separates them.
        penalty = np.full(self.shape, ridge)
        penalty[:, :, :-1] = (2 if classes == 2 else 1) / (c * counts[:, None, None])
        shares = targets.sum(axis=2) / counts[:, None]
        shares = np.maximum(shares, 1 / rows).astype(np.float64)
        spread = self.array((shares * (1 - np.minimum(shares, 0.99)))[:, :, None])
        moments = xp.concat([axes.moments, self.array(np.ones(1))])  # the last of intercepts
        self.targets, self.counts, self.penalty = map(self.array, (targets, counts, penalty))
        self.scale = xp.sqrt(spread * (moments + 1e-6) + self.penalty)

    def array(self, values: Array) -> Array:
        """An array of numpy as one of the vectors' own kind and device, copied if need be."""
        return self.xp.asarray(values, device=api.device(self.vectors))

    def weighted(self, values: Array) -> Array:
        """Values of rows (P x K x n), as often as each counts."""
        return values if self.weights is None else values * self.weights[:, None]

    def logits(self, parameters: Array) -> Array:
        """One product with the vectors for all label sets."""
        xp = self.xp
        weights = xp.reshape(parameters[:, :, :-1], (-1, self.shape[2] - 1))
        found = (self.vectors @ xp.astype(weights, xp.float32).T).T
        logits = xp.empty_like(self.targets)  # rows of a label set and a class side by side
        logits[...] = xp.reshape(found, logits.shape)
        return logits + xp.astype(parameters[:, :, -1:], xp.float32)

    def gradient(self, parameters: Array, shares: Array) -> Array:
        """Of the objective, from the probabilities of classes; one product for all label sets."""
        xp = self.xp
        errors = self.weighted(shares) - self.targets
        inner = xp.reshape(errors, (-1, errors.shape[2])) @ self.vectors
        intercepts = xp.sum(errors, axis=2, keepdims=True)
        found = xp.concat([xp.reshape(inner, (*self.shape[:2], -1)), intercepts], axis=2)
        found = xp.astype(found, xp.float64) / self.counts[:, None, None]
        return found + self.penalty * parameters


def _softmax(xp: Any, logits: Array) -> Array:
    shares = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
    shares /= xp.sum(shares, axis=1, keepdims=True)
    return shares


def _length(
    problems: Problems, at: Array, move: Array, logits: Array, change: Array
) -> tuple[Array, Array]:
    """How far to go along a line, by Newton's method on logits; and probabilities there.

    The loss is convex along a line. Two steps are as good as the exact length; a step is at most
    doubled or halved away from 1.
    """
    xp, rows, penalty = problems.xp, problems.counts, problems.penalty

    def there(length: Array) -> Array:
        return _softmax(xp, logits + xp.astype(length, xp.float32)[:, None, None] * change)

    along = xp.einsum("pkd,pkd,pkd->p", penalty, at, move)
    curved = xp.einsum("pkd,pkd,pkd->p", penalty, move, move)
    length = xp.ones_like(along)
    toward = xp.einsum("pkn,pkn->p", problems.targets, change) / rows
    for _ in range(2):
        plain = there(length) * change
        weighted = problems.weighted(plain)
        means = xp.sum(weighted, axis=1)
        slope = xp.sum(means, axis=1, dtype=xp.float64) / rows - toward + along + length * curved
        bend = xp.einsum("pkn,pkn->p", weighted, change)
        bend -= xp.einsum("pn,pn->p", means, xp.sum(plain, axis=1))
        bend = bend / rows + curved
        further = length - slope / xp.where(bend > 1e-12, bend, 1e-12)
        length = xp.minimum(xp.maximum(further, length / 4), 4 * length)
    return length, there(length)


class _Pair(NamedTuple):
    """A step, the change of the gradient along it, and what L-BFGS makes of both, by label set."""

    step: Array
    turn: Array
    inverse: Array  # of their product; 0 without curvature
    scale: Array  # of the inverse Hessian


def _dot(xp: Any, a: Array, b: Array) -> Array:
    return xp.einsum("pkd,pkd->p", a, b)[:, None, None]


def _pair(xp: Any, step: Array, turn: Array) -> _Pair:
    """A pair; one without curvature, which rounding leaves of a set that has converged, is void."""
    product, size = _dot(xp, step, turn), _dot(xp, turn, turn)
    curved = product > 1e-10 * xp.sqrt(_dot(xp, step, step) * size)
    inverse = xp.where(curved, 1 / xp.where(curved, product, 1.0), 0.0)
    scale = xp.where(curved, product / xp.where(curved, size, 1.0), 1.0)
    return _Pair(step, turn, inverse, scale)


def _directions(xp: Any, gradient: Array, pairs: Sequence[_Pair]) -> Array:
    """The two loops of L-BFGS (Nocedal 1980), each label set by itself."""
    found = -gradient
    factors = []
    for pair in reversed(pairs):
        factors.append(pair.inverse * _dot(xp, pair.step, found))
        found = found - factors[-1] * pair.turn
    if pairs:
        found = found * pairs[-1].scale
    for pair, factor in zip(pairs, reversed(factors), strict=True):
        found = found + (factor - pair.inverse * _dot(xp, pair.turn, found)) * pair.step
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
    problems: Problems, max_iterations: int, tolerance: float, start: Array | None = None
) -> tuple[Array, Array, int]:
    """Minimise the losses together.

    Args:
        problems: the losses.
        max_iterations: the most steps.
        tolerance: largest entry of every gradient at which to stop.
        start: parameters to start from, of numpy or of the problems' kind; None for zeros.

    Returns:
        Parameters (P x K x D, float64), logits of all rows (P x K x n, float32), both where the
        vectors are, and the number of steps.
    """
    xp = problems.xp
    parameters = problems.array(np.zeros(problems.shape))
    if start is not None:
        parameters += problems.array(start)
    logits = problems.logits(parameters)
    gradient = problems.gradient(parameters, _softmax(xp, logits))
    inner = gradient / problems.scale
    pairs: list[_Pair] = []
    least, waited = np.inf, 0
    for iteration in range(max_iterations):
        worst = float(xp.max(xp.abs(gradient)))
        least, waited = (worst, 0) if worst < least else (least, waited + 1)
        if worst <= tolerance or waited >= PATIENCE:
            return parameters, logits, iteration
        direction = _directions(xp, inner, pairs)
        move = direction / problems.scale
        change = problems.logits(move)
        length, shares = _length(problems, parameters, move, logits, change)
        length = length[:, None, None]
        parameters += length * move
        logits += xp.astype(length, xp.float32) * change
        gradient = problems.gradient(parameters, shares)
        before, inner = inner, gradient / problems.scale
        pairs = [*pairs[1 - MEMORY :], _pair(xp, length * direction, inner - before)]
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
