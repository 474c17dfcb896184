"""Whether two models differ on the same test examples: paired tests, corrected for their number.

Of each pair of models of a task after fine-tuning on the largest share:

- the difference of their scores with a paired bootstrap interval over groups of examples and seeds;
- the p value of approximate randomisation (Noreen 1989; Yeh 2000, "More accurate tests for the
  statistical significance of result differences"): if both models were alike, their answers to a
  group of examples could be exchanged;
- the same after Holm's step-down correction (1979) for all pairs of the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.config.statistics import Statistics
from layerscope.core.errors import UserError
from layerscope.core.measures import TASK_METRICS
from layerscope.core.table_files import Sources, Table
from layerscope.evaluation.prediction_files import (
    Predictions,
    check_same_examples,
    group_counts,
    read_predictions,
)
from layerscope.statistics.inference import Floats, Statistic, paired_difference

Row = dict[str, Any]


def randomisation_p(
    before: Sequence[Floats],
    after: Sequence[Floats],
    statistic: Statistic,
    resamples: int,
    rng: np.random.Generator,
) -> float:
    """Two-sided p value of a difference of a statistic of summed counts, averaged over seeds.

    In each resample both sides exchange the counts of every cluster with probability one half, in
    all seeds alike. What was seen counts as one resample, so that p is never 0.

    Args:
        before, after: an array for each seed, clusters x columns, the same clusters in order.
        statistic: of summed counts (... x columns).
        resamples: number of resamples.
        rng: source of randomness.
    """
    exchanged = rng.integers(0, 2, size=(resamples, len(before[0]))).astype(float)

    def difference(masks: Floats) -> Floats:
        values = []
        for one, other in zip(before, after, strict=True):
            moved = masks @ (one - other)
            values.append(statistic(other.sum(axis=0) + moved) - statistic(one.sum(axis=0) - moved))
        return np.abs(np.mean(values, axis=0))

    seen = difference(np.zeros((1, len(before[0]))))[0]
    # Sums of counts are exact, ratios of them are not.
    as_large = difference(exchanged) >= seen - 1e-12
    return float((1 + as_large.sum()) / (1 + resamples))


def holm(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Holm's adjusted p values, in the order given."""
    p = np.asarray(values, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def difference_rows(files: Sequence[Predictions], settings: Statistics) -> list[Row]:
    """Rows of the table of differences of one task, in its own metric.

    Args:
        files: predictions of all models and baselines after fine-tuning on one share, each with
            the same seeds.
        settings: of the resampling.

    Raises:
        UserError: the files are not of the same examples, or models have different seeds.
    """
    check_same_examples(files, ("task", "kind_of_task", "labels"))
    metric = TASK_METRICS[files[0].described["kind_of_task"]][0]
    by_model: dict[str, dict[int, Predictions]] = {}
    for file in files:
        by_model.setdefault(file.described["model"], {})[file.seed] = file
    seeds = {model: tuple(sorted(found)) for model, found in by_model.items()}
    for model, found in seeds.items():
        if found != next(iter(seeds.values())):
            raise UserError(f"{model}: seeds {found}; allowed: {next(iter(seeds.values()))}")
    counts = {
        model: [group_counts(found[seed])[metric] for seed in seeds[model]]
        for model, found in by_model.items()
    }
    rows: list[Row] = []
    for model, other in combinations(counts, 2):
        before = [each for each, _ in counts[model]]
        after = [each for each, _ in counts[other]]
        statistic = counts[model][0][1]
        value, low, high = paired_difference(
            before, after, statistic, settings.resamples, settings.confidence,
            np.random.default_rng(settings.seed),
        )  # fmt: skip
        p = randomisation_p(
            before, after, statistic, settings.resamples, np.random.default_rng(settings.seed)
        )
        rows.append(
            {
                "task": files[0].described["task"],
                "percent": files[0].percent,
                "metric": metric,
                "model": model,
                "other": other,
                "value": value,
                "low": low,
                "high": high,
                "p": p,
                "groups": len(before[0]),
            }
        )
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["holm"] = float(adjusted)
    return rows


def tabulate(sources: Sources) -> dict[str, Table]:
    """A part of the table: a task, from predictions of all models and seeds on it."""
    settings = Statistics.model_validate_json(sources.settings)
    files = [read_predictions(path) for path in sources.files]
    return {"significance": Table([difference_rows(files, settings)])}
