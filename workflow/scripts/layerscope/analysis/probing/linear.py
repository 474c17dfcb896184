"""The linear probe: multinomial logistic regression, its strength of penalty cross-validated.

The strength decides what a probe of few rows and many columns finds: at scikit-learn's default of
C = 1, a probe of the demo's 210 pairs is sure of wrong answers in every layer. It is chosen from
`GRID` by the log loss of held-out rows, in `FOLDS` parts of whole groups of examples, each time
that a probe is fitted. Grid, parts and rule are the same for all layers, models and variants.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import array_api_compat as api
import numpy as np
import numpy.typing as npt

from layerscope.analysis.probing.draws import Weights, draw_weights
from layerscope.analysis.probing.features import Vectors
from layerscope.analysis.probing.logistic import (
    TOLERANCE,
    Array,
    Axes,
    Floats,
    Problems,
    minimise,
    principal_axes,
    probabilities,
    to_numpy,
)

if TYPE_CHECKING:
    import torch

Codes = npt.NDArray[np.int64]

#: Values of C to choose from, from the strongest penalty on.
GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
#: Parts of the rows, each held out once.
FOLDS = 3
#: Gradient at which fits that are compared stop: their losses no longer differ.
ROUGH = 1e-3
#: Gradient at which fits to draws of the rows stop; it lies far below what draws differ in.
DRAWN = 1e-5
#: Rows that C is chosen by; of more, whole groups up to about as many. C varies little with rows.
CHOOSING = 5000

log = logging.getLogger(__name__)


class Fitted(NamedTuple):
    """A probe of one set of labels: the classes that it has seen, and its parameters.

    Parameters are classes x (width + 1), the last column the intercepts; None for a single class.
    """

    names: Codes
    parameters: Floats | None
    inverse_regularisation: float

    def shares(self, vectors: Vectors, classes: int) -> Floats:
        """Probabilities of all classes, rows x classes; 0 for one that was not seen."""
        found = np.zeros((len(vectors), classes))
        if self.parameters is None:
            found[:, self.names[0]] = 1
        else:
            found[:, self.names] = probabilities(self.parameters[None], vectors)[0]
        return found

    def predict(self, vectors: Vectors) -> Codes:
        """Class of each row (rows x width, float32)."""
        if self.parameters is None:
            return np.full(len(vectors), self.names[0])
        weights, intercepts = self.parameters[:, :-1], self.parameters[:, -1]
        logits = vectors @ weights.T.astype(np.float32) + intercepts.astype(np.float32)
        return self.names[logits.argmax(axis=1)]


class Start(NamedTuple):
    """C of a fit, and parameters to start it from: 1 x classes x (axes + 1), or None for zeros."""

    inverse_regularisation: float
    parameters: Array | None


def mixed(shares: Floats, seen: float | Floats) -> Floats:
    """Probabilities with equal ones mixed in, as if one row more than `seen` had been seen.

    Classes are the last axis. No class has probability 0, whatever a probe has seen.
    """
    return (seen * shares + 1 / shares.shape[-1]) / (seen + 1)


def fit_linear(
    vectors: Vectors,
    label_sets: Sequence[Codes],
    inverse_regularisation: float | None,
    max_iterations: int,
    groups: Sequence[str] | None = None,
    draws: int = 0,
    device: str | torch.device | None = None,
) -> list[Fitted]:
    """Fit a probe to each set of labels, and to draws of the rows with the first set.

    Args:
        vectors: rows x width, float32, standardised.
        label_sets: class of each row; several sets, such as those of a control task, take little
            longer than one.
        inverse_regularisation: C of scikit-learn; None to choose it by cross-validation. Rows of
            fewer groups than `FOLDS` get the strongest penalty of the grid.
        max_iterations: of L-BFGS; a fit that needs more is used as it is, and logged.
        groups: of each row; those of a group are held out and drawn together. None: each row by
            itself.
        draws: bootstrap samples of groups, each fitted with the C of all rows.
        device: of PyTorch to fit on; None for numpy. Both find the same optimum.

    Returns:
        Probes of the sets of labels, then of the draws.
    """
    found: dict[int, Fitted] = {}
    alike: dict[int, list[tuple[int, Codes, Codes]]] = {}  # by number of classes that are there
    for place, labels in enumerate(label_sets):
        names, codes = np.unique(labels, return_inverse=True)
        if len(names) == 1:
            found[place] = Fitted(names, None, inverse_regularisation or GRID[0])
        else:
            alike.setdefault(len(names), []).append((place, names, codes))
    if not alike:
        return [*(found[place] for place in range(len(label_sets))), *[found[0]] * draws]
    axes = principal_axes(vectors, device)
    groups = list(map(str, range(len(vectors)))) if groups is None else groups
    for classes, members in alike.items():
        sets = [codes for *_, codes in members]
        if inverse_regularisation is None:
            chosen = _choose(axes, sets, classes, groups, max_iterations)
        else:
            chosen = [Start(inverse_regularisation, None)] * len(sets)
        for (place, names, codes), (c, start) in zip(members, chosen, strict=True):
            problem = Problems(axes, [codes], classes, c)
            parameters, _, steps = minimise(problem, max_iterations, TOLERANCE, start)
            if steps >= max_iterations:
                log.info("linear probe: stopped after %d iterations, not converged", steps)
            found[place] = Fitted(names, axes.parameters(parameters)[0], c)
    probes = [found[place] for place in range(len(label_sets))]
    if not draws:
        return probes
    return probes + _redrawn(axes, label_sets[0], probes[0], draw_weights(groups, draws))


def _redrawn(axes: Axes, labels: Codes, fitted: Fitted, weights: Weights) -> list[Fitted]:
    """Probes fitted to draws of the rows, all together, from the fit to all rows on."""
    if fitted.parameters is None:
        return [fitted] * len(weights)
    codes = np.searchsorted(fitted.names, labels)
    classes, c = len(fitted.names), fitted.inverse_regularisation
    problems = Problems(axes, [codes] * len(weights), classes, c, weights, ridge=1e-6)
    whole = fitted.parameters
    start = np.concatenate([whole[:, :-1] @ to_numpy(axes.basis), whole[:, -1:]], axis=1)
    found, _, _ = minimise(problems, 200, DRAWN, np.repeat(start[None], len(weights), axis=0))
    return [Fitted(fitted.names, parameters, c) for parameters in axes.parameters(found)]


def _choose(
    axes: Axes,
    label_sets: Sequence[Codes],
    classes: int,
    groups: Sequence[str],
    max_iterations: int,
) -> list[Start]:
    """C of each set of labels: the one with the least log loss of held-out rows.

    All parts of all sets are fitted together, from the strongest penalty on, each fit from the one
    before, until a weaker penalty is worse for all sets. Every class is in each set.
    """
    _, group = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    used = _some(group)
    kept = kept_rows(group)[:, used]
    if too_few(kept):
        return [Start(GRID[0], None)] * len(label_sets)
    xp, where = api.array_namespace(axes.vectors), api.device(axes.vectors)
    axes = axes._replace(vectors=axes.vectors[xp.asarray(used, device=where)])
    sets = [codes[used] for codes in label_sets for _ in range(FOLDS)]
    masks = np.tile(kept, (len(label_sets), 1))
    losses: list[Floats] = []
    fits: list[Array] = []
    start = None
    for c in GRID:
        problems = Problems(axes, sets, classes, c, masks, ridge=ROUGH / 10)
        start, logits, _ = minimise(problems, max_iterations, ROUGH, start)
        fits.append(xp.mean(xp.reshape(start, (-1, FOLDS, *start.shape[1:])), axis=1))
        losses.append(_held_out(to_numpy(logits), sets, masks).reshape(-1, FOLDS).sum(axis=1))
        if (losses[-1] > np.min(losses, axis=0)).all():
            break
    least = np.argmin(losses, axis=0)
    return [Start(GRID[best], fits[best][place, None]) for place, best in enumerate(least)]


def kept_rows(group: Codes) -> npt.NDArray[np.bool_]:
    """Which rows are learned from while each part is held out: `FOLDS` x rows.

    Args:
        group: number of each row's group; groups are held out whole.
    """
    part = np.random.default_rng(0).permutation(group.max() + 1)[group] % FOLDS
    return part != np.arange(FOLDS)[:, None]


def too_few(kept: npt.NDArray[np.bool_]) -> bool:
    """Whether some part has no rows, or all: with fewer groups than parts."""
    return bool(kept.all(axis=1).any() or not kept.any(axis=1).all())


def _some(group: Codes) -> npt.NDArray[np.bool_]:
    """Which rows C is chosen by: those of whole groups, in random order, up to `CHOOSING`."""
    if len(group) <= CHOOSING:
        return np.ones(len(group), bool)
    order = np.random.default_rng(1).permutation(group.max() + 1)
    counts = np.cumsum(np.bincount(group)[order])
    return np.isin(group, order[: max(FOLDS, int(np.searchsorted(counts, CHOOSING)))])


def _held_out(logits: Vectors, sets: Sequence[Codes], kept: npt.NDArray[np.bool_]) -> Floats:
    """Sum of the log loss of the rows that were not kept, by problem; logits are P x K x n."""
    found = np.empty(len(sets))
    for problem, (codes, seen) in enumerate(zip(sets, kept, strict=True)):
        rows = logits[problem][:, ~seen].T.astype(np.float64)
        shares = np.exp(rows - rows.max(axis=1, keepdims=True))
        shares = mixed(shares / shares.sum(axis=1, keepdims=True), int(seen.sum()))
        found[problem] = -np.log(shares[np.arange(len(rows)), codes[~seen]]).sum()
    return found


def predict_linear(
    train: Vectors,
    label_sets: Sequence[Codes],
    test: Vectors,
    inverse_regularisation: float | None,
    max_iterations: int,
    groups: Sequence[str] | None = None,
    draws: int = 0,
    device: str | torch.device | None = None,
) -> list[Codes]:
    """Predicted class of each test row by each probe of `fit_linear`, whose arguments these are."""
    settings = inverse_regularisation, max_iterations, groups, draws, device
    probes = fit_linear(train, label_sets, *settings)
    return [probe.predict(test) for probe in probes]
