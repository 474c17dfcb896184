"""Perceptrons with one hidden layer over the same vectors, trained together.

Two things regularise one: a penalty on its weights, and for how many steps it is trained. Both are
chosen by the log loss of held-out rows, in parts of whole groups of examples, as the penalty of
the linear probe is. After no step its answers are the frequencies of the labels, whatever it reads,
so that it can do without vectors that do not help.

All parts, penalties and sets of labels, and draws of the rows, are trained together: their hidden
layers are columns of one product with the vectors. It is NumPy: a step of so few rows is too small
to gain by a GPU, and a job of them starts fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from layerscope.analysis.probing.draws import Weights, draw_weights
from layerscope.analysis.probing.features import Vectors
from layerscope.analysis.probing.linear import FOLDS, kept_rows, mixed, too_few
from layerscope.analysis.probing.logistic import Floats, principal_axes

Codes = npt.NDArray[np.int64]

#: Units of the hidden layer, which are rectified.
HIDDEN = 32
#: Rows of a step; of fewer rows all.
BATCH = 512
#: Step size of Adam (Kingma and Ba 2015), and that of hidden weights in units of their initial
#: deviation, so that a step changes units alike whatever the width. Decay rates are as published.
RATE, INNER_RATE = 5e-3, 5e-2
FIRST_MOMENT, SECOND_MOMENT = 0.9, 0.999
#: Half of it times the squares of all weights but offsets is the penalty: values to choose from.
PENALTIES = (1e-1, 1e-2, 1e-3)
#: The number of steps is chosen from none and doubles of the first of these. Training goes on at
#: least to the second, and then until no set of labels gains; at most to the third, or as often as
#: passes over all rows.
SHORTEST, LEAST, MOST, PASSES = 4, 32, 128, 8
#: Rows that are answered together.
BLOCK = 4096


class Regularised(NamedTuple):
    """What is chosen for a set of labels."""

    steps: int
    penalty: float


class Perceptrons:
    """P perceptrons with K classes that learn from the same vectors, n x d.

    Hidden layers stand side by side, d x P H; output weights are P x H x K.

    Args:
        vectors: of the rows to learn from.
        label_sets: class of each row, once a perceptron.
        weights: how often each row counts for each perceptron, P x n, 0 among them.
        classes: K.
        penalties: once a perceptron.
        seeds: of the initial weights, once a perceptron.
    """

    def __init__(
        self,
        vectors: Vectors,
        label_sets: Sequence[Codes],
        weights: Weights,
        classes: int,
        penalties: Sequence[float],
        seeds: Sequence[int],
    ) -> None:
        self.vectors, self.labels, self.weights = vectors, np.stack(label_sets), weights
        self.penalties = np.asarray(penalties, np.float32)
        # Inputs of a unit have a variance of 2 (He et al. 2015), however long vectors are.
        deviation = np.sqrt(2 / (float(np.square(vectors).sum() / len(vectors)) or 1))
        drawn = {s: np.random.default_rng(s).normal(size=(vectors.shape[1], HIDDEN)) for s in seeds}
        inner = np.concatenate([drawn[seed] for seed in seeds], axis=1) * deviation
        shares = [
            frequencies(codes, classes, own) for codes, own in zip(label_sets, weights, strict=True)
        ]
        initial = [
            inner,
            np.zeros(len(seeds) * HIDDEN),
            np.zeros((len(seeds), HIDDEN, classes)),
            np.log(np.stack(shares))[:, None],
        ]
        sizes = (INNER_RATE * deviation, RATE, RATE, RATE)
        rates = [np.full(each.size, rate) for each, rate in zip(initial, sizes, strict=True)]
        self.flat, self.rates = (_joined(each).astype(np.float32) for each in (initial, rates))
        ends = np.cumsum([each.size for each in initial])[:-1]
        self.parameters = [
            part.reshape(each.shape)  # views of `flat`
            for part, each in zip(np.split(self.flat, ends), initial, strict=True)
        ]

    def _hidden(self, vectors: Vectors) -> Vectors:
        """Hidden layers, P x rows x H."""
        inner, offsets, outer, _ = self.parameters
        found = np.maximum(vectors @ inner + offsets, 0)
        return np.ascontiguousarray(found.reshape(len(vectors), len(outer), HIDDEN).swapaxes(0, 1))

    def _answers(self, hidden: Vectors) -> Vectors:
        logits = hidden @ self.parameters[2] + self.parameters[3]
        shares = np.exp(logits - logits.max(axis=2, keepdims=True))
        shares /= shares.sum(axis=2, keepdims=True)
        return shares

    def shares(self, vectors: Vectors) -> Vectors:
        """Probabilities of classes, P x rows x K."""
        blocks = (vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK))
        return np.concatenate([self._answers(self._hidden(block)) for block in blocks], axis=1)

    def gradient(self, rows: Codes) -> Vectors:
        """Of the mean log loss of some rows with the penalty, flat."""
        vectors, weights = self.vectors[rows], self.weights[:, rows]
        inner, _, outer, _ = self.parameters
        hidden = self._hidden(vectors)
        errors = self._answers(hidden)
        errors[np.arange(len(errors))[:, None], np.arange(len(rows)), self.labels[:, rows]] -= 1
        errors *= (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1))[:, :, None]
        back = (errors @ outer.swapaxes(1, 2)) * (hidden > 0)
        beside = back.swapaxes(0, 1).reshape(len(rows), -1)
        return _joined(
            [
                vectors.T @ beside + np.repeat(self.penalties, HIDDEN) * inner,
                beside.sum(axis=0),
                hidden.swapaxes(1, 2) @ errors + self.penalties[:, None, None] * outer,
                errors.sum(axis=1),
            ]
        )

    def train(self, steps: int) -> Iterator[int]:
        """Train, and give the number of steps after each; rows come in the same order always."""
        mean, square = np.zeros_like(self.flat), np.zeros_like(self.flat)
        for step, rows in zip(range(1, steps + 1), _batches(len(self.vectors)), strict=False):
            gradient = self.gradient(rows)
            mean += (1 - FIRST_MOMENT) * (gradient - mean)
            square += (1 - SECOND_MOMENT) * (np.square(gradient) - square)
            unbiased = float(np.sqrt(1 - SECOND_MOMENT**step) / (1 - FIRST_MOMENT**step))
            self.flat -= unbiased * self.rates * mean / (np.sqrt(square) + 1e-8)
            yield step


def _joined(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.concatenate([each.ravel() for each in arrays])


def frequencies(labels: Codes, classes: int, weights: npt.ArrayLike | None = None) -> Floats:
    """Probabilities of classes without vectors: how often rows have them, as `mixed` has it.

    Args:
        labels: class of each row.
        classes: number of all classes.
        weights: how often each row counts; None for once.
    """
    counts = np.bincount(labels, weights, classes).astype(np.float64)
    return mixed(counts / counts.sum(), float(counts.sum()))


def _batches(rows: int) -> Iterator[Codes]:
    """Rows of each step, without end: those of a pass in random order, in parts of like size."""
    rng = np.random.default_rng(0)
    while True:
        order = rng.permutation(rows) if rows > BATCH else np.arange(rows)
        yield from np.array_split(order, -(-rows // BATCH))


def _choose(
    vectors: Vectors, label_sets: Sequence[Codes], classes: int, group: Codes
) -> list[Regularised]:
    """Steps and penalty of each set of labels: those with the least log loss of held-out rows.

    Rows of fewer groups than parts give no step.
    """
    kept = kept_rows(group)
    if too_few(kept):
        return [Regularised(0, PENALTIES[0])] * len(label_sets)
    each = len(PENALTIES) * FOLDS
    sets = [codes for codes in label_sets for _ in range(each)]
    masks = np.tile(kept, (len(sets) // FOLDS, 1)).astype(np.float32)
    penalties = list(np.repeat(PENALTIES, FOLDS)) * len(label_sets)
    tried = Perceptrons(vectors, sets, masks, classes, penalties, [0] * len(sets))
    ends, losses = [0], [_held_out(tried)]
    most = max(MOST, PASSES * -(-len(vectors) // BATCH))
    for step in tried.train(most):
        if step != max(SHORTEST, 2 * ends[-1]):
            continue
        least = np.min(losses, axis=(0, 2))
        ends.append(step)
        losses.append(_held_out(tried))
        if step >= LEAST and (losses[-1].min(axis=1) >= least).all():
            break
    by_set = np.stack(losses, axis=1).reshape(len(label_sets), -1)
    places = [divmod(int(place), len(PENALTIES)) for place in by_set.argmin(axis=1)]
    return [Regularised(ends[end], PENALTIES[penalty]) for end, penalty in places]


def _held_out(perceptrons: Perceptrons) -> Floats:
    """Sum of the log loss of the rows that do not count, sets of labels x penalties."""
    vectors, labels, masks = perceptrons.vectors, perceptrons.labels, perceptrons.weights
    found, seen = np.zeros(len(labels)), masks.sum(axis=1)[:, None, None].astype(np.float64)
    for start in range(0, len(vectors), BLOCK):
        rows = slice(start, start + BLOCK)
        shares = mixed(perceptrons.shares(vectors[rows]).astype(np.float64), seen)
        told = np.take_along_axis(shares, labels[:, rows, None], axis=2)[:, :, 0]
        found -= (np.log(told) * (1 - masks[:, rows])).sum(axis=1)
    return found.reshape(-1, len(PENALTIES), FOLDS).sum(axis=2)


def mlp_shares(
    train: Vectors,
    label_sets: Sequence[Codes],
    test: Vectors,
    classes: int,
    groups: Sequence[str],
    draws: int = 0,
) -> Iterator[Floats]:
    """Probabilities of classes of test rows, from perceptrons that learned from training rows.

    Args:
        train: rows x width, float32, standardised.
        label_sets: class of each row; several sets take little longer than one.
        test: rows x width, float32, scaled as the training rows.
        classes: number of all classes.
        groups: of each training row; those of a group are held out and drawn together.
        draws: bootstrap samples of groups, each learned with the first set of labels, its steps and
            penalty, and initial weights of its own.

    Returns:
        Test rows x classes of each set of labels, then of each draw, float64.
    """
    axes = principal_axes(train)
    _, group = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    chosen = _choose(axes.vectors, label_sets, classes, group)
    chosen += [chosen[0]] * draws
    weights = np.ones((len(label_sets), len(train)), np.float32)
    if draws:
        weights = np.concatenate([weights, draw_weights(groups, draws)])
    sets = [*label_sets, *[label_sets[0]] * draws]
    seeds = [*[0] * len(label_sets), *range(1, draws + 1)]
    penalties = [each.penalty for each in chosen]
    perceptrons = Perceptrons(axes.vectors, sets, weights, classes, penalties, seeds)
    turned, ends = test @ axes.basis, np.asarray([each.steps for each in chosen])
    found: dict[int, Vectors] = {}
    if not ends.all():
        found |= dict(enumerate(perceptrons.shares(turned)))
    for step in perceptrons.train(int(ends.max())):
        if step in ends:
            answers = perceptrons.shares(turned)
            found |= {int(place): answers[place] for place in np.flatnonzero(ends == step)}
    return (found[place].astype(np.float64) for place in range(len(sets)))
