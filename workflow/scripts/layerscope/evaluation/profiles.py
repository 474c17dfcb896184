"""What is compared of an inner measure and the score: means of independent models by fraction."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from layerscope.evaluation.placebos import PLACEBOS
from layerscope.statistics.inference import Floats, spearman
from layerscope.statistics.permutation import varies

#: Metric of the score, and name of an inner measure or placebo.
Key = tuple[str, str]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Profiles:
    """An inner measure and the score of independent models: units x fractions, without gaps.

    Attributes:
        units: families of models: a model with all that are derived from it is one.
        fractions: percent of the training data; those that every unit has.
        inner, score: means over seeds, then over the models of a family.
        pooled: Spearman's correlation over all points, whatever their fraction.
        n: number of points.
    """

    units: tuple[str, ...]
    fractions: tuple[int, ...]
    inner: Floats
    score: Floats
    pooled: float
    n: int

    @property
    def models_and_scores(self) -> tuple[Any, ...]:
        """Equal of measures that can be tested and predicted from together."""
        return self.units, self.fractions, self.score.tobytes()

    @property
    def constant(self) -> bool:
        """Whether the measure is the same for all of several units within each fraction."""
        return len(self.units) > 1 and len(self.fractions) > 0 and not varies(self.inner)


def profiles(chosen: pd.DataFrame) -> Profiles:
    """Profiles of one inner measure.

    Args:
        chosen: its points: `family`, `model`, `percent`, `inner` and `score`.
    """
    of_models = chosen.groupby(["family", "model", "percent"], sort=False)[["inner", "score"]]
    of_families = of_models.mean().groupby(["family", "percent"], sort=False).mean()
    units = list(dict.fromkeys(chosen["family"]))
    numbers = of_families["inner"].groupby("percent").size()
    fractions = [int(percent) for percent, number in numbers.items() if number == len(units)]
    wanted = pd.MultiIndex.from_product([units, fractions], names=["family", "percent"])
    shape = (len(units), len(fractions))
    inner, score = (
        of_families[side].reindex(wanted).to_numpy(float).reshape(shape)
        for side in ("inner", "score")
    )
    pooled = spearman(chosen["inner"], chosen["score"])
    return Profiles(tuple(units), tuple(fractions), inner, score, pooled, len(chosen))


def task_profiles(task: str, points_of: Mapping[Key, pd.DataFrame]) -> dict[Key, Profiles]:
    """Profiles of a task's inner measures without those that are constant by construction.

    What is the same for all models within each training fraction says nothing within it, and over
    all points only what the fraction says. Placebos stay. The log names what is left out, and
    fractions that not all models have.

    Args:
        task: its name.
        points_of: as from `task_points`.
    """
    kept, constant = {}, []
    for key, chosen in points_of.items():
        found = profiles(chosen)
        if found.constant and key[1] not in PLACEBOS:
            constant.append(f"{key[1]} ({key[0]})")
            continue
        kept[key] = found
        if lost := sorted(set(chosen["percent"].astype(int)) - set(found.fractions)):
            text = "%s: not all models have %s (%s) on fractions %s, which are left out"
            log.warning(text, task, *reversed(key), ", ".join(map(str, lost)))
    if constant:
        text = "%s: left out, the same for all models within each training fraction: %s"
        log.warning(text, task, ", ".join(constant))
    return kept
