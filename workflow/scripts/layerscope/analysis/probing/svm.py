"""The published NLI probe: a support vector machine with an RBF kernel, scikit-learn's defaults.

libsvm computes a kernel one pair of rows at a time. Here it is given kernels that are made of
matrix products, and what several of them need is made once:

- The products of vectors made of two parts are the sums of the parts' products, so that a pair and
  its two halves take the products of the pair alone.
- Every layer's kernels take the same memory. Getting it from the system takes as long as half of
  the products, once and not a layer.

On a GPU the kernels alone are made; libsvm searches on a processor in any case.

The arithmetic is in float64: libsvm rounds kernels to float32, so that it takes the same steps with
them as with its own, and gives the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sklearn.svm import SVC

from layerscope.analysis.probing.draws import Weights
from layerscope.analysis.probing.features import Vectors

if TYPE_CHECKING:
    import torch

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
#: Kernels of train with train and of test with train, a pair a support vector machine.
Room = list[tuple[Floats, Floats]]

#: Rows of a kernel that are worked on at a time, so that they stay in the processor's cache.
STRIP = 16


def make_room(rows: int, others: int, parts: int) -> Room:
    """Memory for the kernels of so many training and test rows: 8 bytes a pair of rows and machine.

    Args:
        rows: of training.
        others: of test.
        parts: that vectors are made of; one machine if it is 1, else one for all and one for each.
    """
    machines = 1 if parts == 1 else parts + 1
    return [(np.empty((rows, rows)), np.empty((others, rows))) for _ in range(machines)]


def rbf_kernels(
    train: Sequence[Vectors], test: Sequence[Vectors], room: Room
) -> Iterator[tuple[Floats, Floats]]:
    """RBF kernels of train with train and of test with train, gamma as in `SVC(gamma="scale")`.

    Args:
        train: parts of the training vectors, each rows x width.
        test: the same parts of the test vectors.
        room: of `make_room`; what it holds is overwritten.

    Yields:
        Kernels of all parts side by side, then those of each part alone, if there are several.
    """
    means, squares, other_squares = [], [], []
    for (inner, outer), part, other in zip(room[-len(train) :], train, test, strict=True):
        rows, columns = part.astype(np.float64), other.astype(np.float64)
        # Distances do not change when both are shifted, and small numbers round less.
        mean = rows.mean(axis=0)
        rows -= mean
        columns -= mean
        means.append(mean)
        squares.append((rows**2).sum(axis=1))
        other_squares.append((columns**2).sum(axis=1))
        np.matmul(rows, rows.T, out=inner)
        np.matmul(columns, rows.T, out=outer)
    if len(train) > 1:
        for side in (0, 1):
            np.add(room[1][side], room[2][side], out=room[0][side])
            for further in room[3:]:
                np.add(room[0][side], further[side], out=room[0][side])
    for machine, (inner, outer) in enumerate(room):
        chosen = slice(None) if machine == 0 else slice(machine - 1, machine)
        gamma = _gamma(means[chosen], squares[chosen])
        own, others = np.sum(squares[chosen], axis=0), np.sum(other_squares[chosen], axis=0)
        _exponentiate(inner, own, own, gamma)
        _exponentiate(outer, others, own, gamma)
        yield inner, outer


def kernels_on(
    device: str | torch.device, train: Sequence[Vectors], test: Sequence[Vectors]
) -> Iterator[tuple[Floats, Floats]]:
    """The kernels of `rbf_kernels`, made on a device of PyTorch, which needs room for all of them.

    Args:
        device: that makes them, in float64.
        train, test: as of `rbf_kernels`.
    """
    import torch

    means, squares, products = [], [], []  # of each part: of training rows, and of test rows
    for part, other in zip(train, test, strict=True):
        rows, columns = (torch.tensor(each, device=device).double() for each in (part, other))
        mean = rows.mean(dim=0)
        rows, columns = rows - mean, columns - mean
        means.append(mean.cpu().numpy())
        squares.append([(side**2).sum(dim=1) for side in (rows, columns)])
        products.append([side @ rows.T for side in (rows, columns)])
    alone = [slice(part, part + 1) for part in range(len(train))]
    for chosen in [slice(None), *(alone if len(train) > 1 else [])]:
        lengths = [own.cpu().numpy() for own, _ in squares[chosen]]
        gamma = _gamma(means[chosen], lengths)
        own, others = (torch.stack(side).sum(dim=0) for side in zip(*squares[chosen], strict=True))
        kernels = []
        for side, products_of_side in zip(
            (own, others), zip(*products[chosen], strict=True), strict=True
        ):
            distances = side[:, None] + own
            for product in products_of_side:
                distances -= 2 * product
            kernels.append(distances.clamp_(min=0).mul_(-gamma).exp_().cpu().numpy())
        yield kernels[0], kernels[1]


def _gamma(means: Sequence[Floats], squares: Sequence[Floats]) -> float:
    """One over the width and the variance of all numbers together.

    Args:
        means: of columns, an array a part.
        squares: squared lengths of centred rows, an array a part.
    """
    columns = np.concatenate(means)
    within = sum(float(part.mean()) for part in squares)
    variance = (within + float(((columns - columns.mean()) ** 2).sum())) / len(columns)
    return 1 / (len(columns) * variance) if variance > 0 else 1.0


def _exponentiate(products: Floats, own: Floats, others: Floats, gamma: float) -> None:
    """Make kernels of products in place, from the squared lengths of rows and columns."""
    for start in range(0, len(products), STRIP):
        strip = products[start : start + STRIP]
        strip *= 2
        np.subtract(own[start : start + STRIP, None] + others, strip, out=strip)
        np.maximum(strip, 0, out=strip)
        strip *= -gamma
        np.exp(strip, out=strip)


def predict_svm(
    train: Sequence[Vectors],
    labels: Codes,
    test: Sequence[Vectors],
    inverse_regularisation: float,
    room: Room | None = None,
    weights: Weights | None = None,
    device: str | torch.device | None = None,
) -> list[Codes]:
    """Fit `SVC()` on training vectors and predict the test rows, whole and by their parts.

    In a draw of the rows, gamma stays that of all.

    Args:
        train: parts of the vectors, each rows x width; raw, as published, or standardised.
        labels: class of each training row.
        test: the same parts of the test vectors.
        inverse_regularisation: C of scikit-learn.
        room: of `make_room`, for who asks again with as many rows.
        weights: how often each training row is in each draw of them, draws x rows.
        device: of PyTorch that makes the kernels; None for numpy.

    Returns:
        Predicted class of each test row, (1 + draws) x rows, of all training rows and of each draw:
        from all parts side by side, then from each part alone, if there are several.
    """
    every = np.ones((1, len(labels)), np.float32)
    sets = every if weights is None else np.concatenate([every, weights])
    kernels: Iterable[tuple[Floats, Floats]]
    if device is None:
        room = room or make_room(len(train[0]), len(test[0]), len(train))
        kernels = rbf_kernels(train, test, room)
    else:
        kernels = kernels_on(device, train, test)
    return [
        np.stack([_answers(inner, labels, outer, inverse_regularisation, each) for each in sets])
        for inner, outer in kernels
    ]


def _answers(inner: Floats, labels: Codes, outer: Floats, c: float, weights: Weights) -> Codes:
    """Predicted class of each test row from the training rows that count."""
    there = np.flatnonzero(weights)
    seen = labels[there]
    if len(np.unique(seen)) == 1:
        return np.full(len(outer), seen[0])
    if len(there) < len(labels):
        inner, outer = inner[np.ix_(there, there)], outer[:, there]
    machine = SVC(C=c, kernel="precomputed").fit(inner, seen, sample_weight=weights[there])
    return machine.predict(outer)
