"""Whether scores differ on the same test examples: tests that draw seeds too, corrected.

Two families of a task, in its own metric:

- models after fine-tuning on the largest fraction, each pair of them and each with every baseline;
- each model after fine-tuning on the smallest and on the largest fraction.

Every test is that of `layerscope.statistics.crossed`; p values are corrected within a family by
Holm's step-down procedure (1979, Scandinavian Journal of Statistics 6, 65-70). That two systems do
not differ is another claim, of a test of equivalence, whose p are not corrected. Baselines are not
compared with each other: nobody asks, and each further test would cost the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.config.statistics import Statistics
from layerscope.core.errors import UserError
from layerscope.core.measures import BASELINES, TASK_METRICS
from layerscope.core.table_files import Sources, Table, number
from layerscope.evaluation.prediction_files import (
    Predictions,
    check_same_examples,
    group_counts,
    read_predictions,
)
from layerscope.statistics.crossed import crossed_difference, equivalence_p
from layerscope.statistics.inference import Floats, Statistic

Row = dict[str, Any]
System = tuple[str, int]  # a model or baseline, and the percent that it learnt from
Counts = Mapping[System, Sequence[Floats]]  # an array for each seed, groups x columns


def holm(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Holm's adjusted p values, in the order given; one that is not known stays NaN."""
    p = np.asarray(values, np.float64)
    adjusted = np.full_like(p, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    stepped = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def families(systems: Sequence[System]) -> list[list[tuple[System, System]]]:
    """Pairs that are compared: models, also with baselines, and each model's fractions."""
    most = max(percent for _, percent in systems)
    least = min(percent for _, percent in systems)
    largest = [system for system in systems if system[1] == most]
    baselines = [system for system in largest if system[0] in BASELINES]
    models = [system for system in largest if system not in baselines]
    pairs = [*combinations(models, 2), *product(baselines, models)]
    gains = [
        ((model, least), (model, most))
        for model, percent in systems
        if percent == least < most and model not in BASELINES
    ]
    return [pairs, gains]


def _by_system(files: Sequence[Predictions]) -> dict[System, dict[int, Predictions]]:
    """Files by system and seed, systems in order of appearance.

    Raises:
        UserError: systems have different seeds.
    """
    found: dict[System, dict[int, Predictions]] = {}
    for file in files:
        found.setdefault((file.described["model"], file.percent), {})[file.seed] = file
    allowed = sorted(next(iter(found.values())))
    for (model, percent), by_seed in found.items():
        if sorted(by_seed) != allowed:
            raise UserError(
                f"{model} on {percent} %: seeds {sorted(by_seed)}; allowed: {allowed}, as others"
            )
    return found


def _rows(
    pairs: Sequence[tuple[System, System]],
    counts: Counts,
    statistic: Statistic,
    settings: Statistics,
) -> list[Row]:
    """Rows of one family."""
    rows: list[Row] = []
    for (model, percent), (other, other_percent) in pairs:
        before, after = counts[model, percent], counts[other, other_percent]
        found = crossed_difference(before, after, statistic, settings.confidence)
        rows.append(
            {
                "percent": percent,
                "model": model,
                "other_percent": other_percent,
                "other": other,
                "value": found.value,
                # No score is below 0 or above 1.
                "low": number(max(found.low, -1.0)),
                "high": number(min(found.high, 1.0)),
                "p": number(found.p),
                "p_equivalent": number(equivalence_p(found, settings.margin)),
                "seeds": len(before),
                "groups": len(before[0]),
            }
        )
    known = [float("nan") if row["p"] is None else row["p"] for row in rows]
    for row, adjusted in zip(rows, holm(known), strict=True):
        row["holm"] = number(adjusted)
    return rows


def difference_rows(files: Sequence[Predictions], settings: Statistics) -> list[Row]:
    """Rows of the table of differences of one task: the other less the model.

    Args:
        files: predictions of all models and baselines after fine-tuning on the largest fraction,
            and of models on the smallest, each with the same seeds.
        settings: of intervals.

    Raises:
        UserError: the files are not of the same examples, or have different seeds.
    """
    check_same_examples(files, ("task", "kind_of_task", "labels"))
    metric = TASK_METRICS[files[0].described["kind_of_task"]][0]
    of_task = {"task": files[0].described["task"], "metric": metric}
    systems = _by_system(files)
    counted = {
        system: [group_counts(by_seed[seed])[metric] for seed in sorted(by_seed)]
        for system, by_seed in systems.items()
    }
    statistic = next(iter(counted.values()))[0][1]
    counts = {system: [array for array, _ in each] for system, each in counted.items()}
    return [
        of_task | row
        for pairs in families(list(systems))
        for row in _rows(pairs, counts, statistic, settings)
    ]


def tabulate(sources: Sources) -> dict[str, Table]:
    """A part of the table: a task, from predictions of all models and seeds on it."""
    settings = Statistics.model_validate_json(sources.settings)
    files = [read_predictions(path) for path in sources.files]
    return {"significance": Table([difference_rows(files, settings)])}
