"""Affine maps of states, by ridge regression with a penalty that held-out rows choose.

Belrose et al. (2023), "Eliciting latent predictions from transformers with the tuned lens", fit
maps to the last layer's states by the divergence of answers; Din et al. (2023), "Jump to
conclusions: short-cutting transformers with linear transformations", by least squares, as here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

#: Penalties that are tried, over the variance of the states in a direction, the strongest first.
PENALTIES: tuple[float, ...] = tuple(10.0**power for power in range(4, -7, -1))
#: Parts of the rows that a penalty is chosen by, each held out once: as many as of linear probes.
FOLDS = 3
#: What varies less than this, over the mean square, counts as constant: rounding of passes.
CONSTANT = 1e-10


class Translator(NamedTuple):
    """An affine map of states."""

    weight: torch.Tensor  # width x width, float64 as it is fitted
    bias: torch.Tensor  # width

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """States (... x width) under the map: computed in its type, given in their own."""
        with torch.autocast(states.device.type, enabled=False):
            return (states.to(self.weight.dtype) @ self.weight + self.bias).to(states.dtype)

    def float(self) -> Translator:
        """The same in float32, in which it is as exact as a model's states."""
        return Translator(self.weight.float(), self.bias.float())

    def rescaled(self, scale: torch.Tensor) -> Translator:
        """The map of states that has been fitted to them divided by a scale: width."""
        return Translator(self.weight / scale[:, None] * scale, self.bias * scale)

    def beside_identity(self) -> Translator:
        """The map that adds to states what this one makes of them."""
        return self._replace(weight=self.weight + torch.eye(len(self.bias)).to(self.weight))


def scale_of(states: torch.Tensor) -> torch.Tensor:
    """Standard deviation of each coordinate, but not less than rounding leaves: width, float64.

    Args:
        states: rows x width, float64.
    """
    least = (CONSTANT * states.square().mean()).sqrt()
    scale = states.std(dim=0, correction=0).clamp(min=float(least))
    return torch.where(scale > 0, scale, torch.ones_like(scale))


class Ridge:
    """Ridge regression on some states, for any targets and penalties.

    One decomposition of the states' covariance serves all of them (Hastie et al. 2009, section
    3.4.1). The intercept is not penalised.
    """

    def __init__(self, states: torch.Tensor) -> None:
        """Decompose.

        Args:
            states: rows x width, float64.
        """
        self.mean = states.mean(dim=0)
        self.centred = states - self.mean
        total = self.centred.square().sum()
        self.scale = max(float(total), CONSTANT * float(states.square().sum())) / states.shape[1]
        values, self.basis = torch.linalg.eigh(self.centred.T @ self.centred)
        self.values = values.clamp(min=0)

    def _shrunk(self, penalties: Sequence[float]) -> torch.Tensor:
        """What multiplies each direction under each penalty: penalties x width."""
        added = torch.tensor(penalties, dtype=torch.float64, device=self.values.device)[:, None]
        scale = self.scale or 1.0  # of states that are 0 throughout
        return 1 / (self.values + added * scale)

    def solve(self, targets: torch.Tensor, penalty: float) -> Translator:
        """The map that predicts targets, shrunk towards their mean.

        Args:
            targets: rows x width, float64.
            penalty: one of `PENALTIES`; times `scale` it is scikit-learn's alpha.
        """
        mean = targets.mean(dim=0)
        along = self.basis.T @ (self.centred.T @ (targets - mean))
        weight = self.basis @ (self._shrunk([penalty])[0][:, None] * along)
        return Translator(weight, mean - self.mean @ weight)

    def errors(
        self, targets: torch.Tensor, held_out: torch.Tensor, held_out_targets: torch.Tensor
    ) -> torch.Tensor:
        """Sum of squared errors on other rows under each of `PENALTIES`, from their products.

        Args:
            targets: as of `solve`.
            held_out, held_out_targets: states and targets of rows that were not learned from.
        """
        mean = targets.mean(dim=0)
        along = self.basis.T @ (self.centred.T @ (targets - mean))
        states = (held_out - self.mean) @ self.basis
        left = held_out_targets - mean
        shrunk = self._shrunk(PENALTIES)
        linear = (along * (states.T @ left)).sum(dim=1)
        square = (states.T @ states) * (along @ along.T)
        return left.square().sum() - 2 * shrunk @ linear + ((shrunk @ square) * shrunk).sum(dim=1)


def folds_of(groups: Sequence[str], seed: int) -> npt.NDArray[np.int64]:
    """The fold of each row, as linear probes have it: whole groups in a random order, dealt out.

    Args:
        groups: of each row.
        seed: of the order.

    Returns:
        Numbers below `FOLDS`; 0 throughout where there are fewer groups.
    """
    names, own = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < FOLDS:
        return np.zeros(len(own), np.int64)
    return np.random.default_rng(seed).permutation(len(names))[own] % FOLDS


def fit_translators(
    states: torch.Tensor, targets: Sequence[torch.Tensor], folds: npt.NDArray[np.int64]
) -> list[tuple[Translator, float]]:
    """For each target the map of some states that predicts it, with the penalty that was chosen.

    Args:
        states: rows x width, float64.
        targets: each rows x width, float64.
        folds: of each row, as from `folds_of`. Of a single one nothing can be held out, and the
            strongest penalty is taken.

    Returns:
        Maps with the penalty, of `PENALTIES`, whose error on held-out folds is smallest.
    """
    errors = torch.zeros(len(targets), len(PENALTIES), dtype=torch.float64, device=states.device)
    numbers = np.unique(folds)
    for fold in numbers if len(numbers) > 1 else ():
        out = torch.from_numpy(folds == fold).to(states.device)
        ridge = Ridge(states[~out])
        for place, target in enumerate(targets):
            errors[place] += ridge.errors(target[~out], states[out], target[out])
    ridge = Ridge(states)
    chosen = [PENALTIES[int(error.argmin())] for error in errors.cpu()]
    return [
        (ridge.solve(target, penalty), penalty)
        for target, penalty in zip(targets, chosen, strict=True)
    ]
