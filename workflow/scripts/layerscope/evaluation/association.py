"""Whether inner measures of fine-tuned models go with their downstream scores.

A point is a fine-tuned variant of a model. Points of one model are not independent, so intervals
resample models, and with few models they are wide.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from layerscope.config.statistics import Statistics
from layerscope.core.measures import task_metrics
from layerscope.core.table_files import Sources, Table
from layerscope.evaluation.inner_measures import ATTENTION, inner_measures, points
from layerscope.statistics.inference import (
    Floats,
    bootstrap_weights,
    cluster_index,
    interval,
    slope,
    spearman,
)
from layerscope.statistics.mixed import mixed_slope

Row = dict[str, Any]


log = logging.getLogger(__name__)


def centred_slope(inner: Floats, score: Floats, models: Sequence[Any]) -> float:
    """Slope of score on inner measure, both centred within each model; NaN if undefined."""
    x, y = inner.copy(), score.copy()
    for rows in cluster_index(models):
        x[rows] -= x[rows].mean()
        y[rows] -= y[rows].mean()
    # Rounding leaves specks of a measure that is constant within each model.
    return slope(x, y) if np.abs(x).max(initial=0) > 1e-12 else float("nan")


def _statistic(statistic: str, value: float, low: float, high: float, n: int) -> Row:
    ends = [float(v) if math.isfinite(v) else None for v in (value, low, high)]
    return dict(zip(("statistic", "value", "low", "high", "n"), (statistic, *ends, n), strict=True))


def associate(chosen: pd.DataFrame, resamples: int, confidence: float, seed: int) -> list[Row]:
    """How an inner measure goes with the score.

    Statistics: `spearman`, over all points, with a percentile bootstrap interval that resamples
    whole models (Field and Welsh 2007, Journal of the Royal Statistical Society B 69, 369-390);
    `spearman leave-one-model-out`, the mean, least and largest over models left out; and
    `within-model slope`, the least-squares slope with both sides centred within each model, score
    per unit of the inner measure, with the same kind of interval. With one model there is no
    interval; what is undefined is null.

    Args:
        chosen: points of one inner measure and metric: `model`, `inner` and `score`.
        resamples, confidence, seed: of the intervals.

    Returns:
        Rows of `statistic`, `value`, `low`, `high`, `n` (points).
    """
    inner, score = chosen["inner"].to_numpy(float), chosen["score"].to_numpy(float)
    models = chosen["model"].tolist()
    clusters = cluster_index(models)
    row = partial(_statistic, n=len(chosen))

    def resampled(statistic: Callable[[Floats, Floats, list[int]], float]) -> tuple[float, float]:
        if len(clusters) < 2:
            return float("nan"), float("nan")
        weights = bootstrap_weights(len(clusters), resamples, np.random.default_rng(seed))
        # Few models give few distinct resamples: each is worked out once.
        drawn, which = np.unique(weights.astype(int), axis=0, return_inverse=True)
        values = []
        for counts in drawn:
            rows = [clusters[m] for m, count in enumerate(counts) for _ in range(count)]
            copies = [copy for copy, part in enumerate(rows) for _ in part]
            index = np.concatenate(rows)
            values.append(statistic(inner[index], score[index], copies))
        return interval(np.asarray(values)[which], confidence)

    left_out = [
        value
        for rows in clusters
        if len(clusters) > 1
        and math.isfinite(value := spearman(np.delete(inner, rows), np.delete(score, rows)))
    ]
    nan = float("nan")
    return [
        row("spearman", spearman(inner, score), *resampled(lambda x, y, _: spearman(x, y))),
        row(
            "spearman leave-one-model-out",
            math.fsum(left_out) / len(left_out) if left_out else nan,
            min(left_out, default=nan),
            max(left_out, default=nan),
        ),
        row("within-model slope", centred_slope(inner, score, models), *resampled(centred_slope)),
    ]


def task_points(
    scores: pd.DataFrame, probes: pd.DataFrame, attention: pd.DataFrame
) -> dict[tuple[str, str], pd.DataFrame]:
    """Points of one task by metric of the score and inner measure, of which some may have none.

    Args:
        scores, probes, attention: the task's rows of these tables. Probes are taken in the metric
            of the score.
    """
    return {
        (metric, name): points(scores, inner, metric)
        for metric in task_metrics(set(scores["metric"]))
        for name, inner in inner_measures(probes, attention, metric).groupby(
            "inner measure", sort=False
        )
    }


def association_rows(
    task: str,
    points_of: Mapping[tuple[str, str], pd.DataFrame],
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Row]:
    """Rows of the table of associations of one task.

    Beside the statistics of `associate` there is the `mixed-effects slope`, both sides standardised
    (`layerscope.statistics.mixed`). Where it cannot be estimated it is null, and the log says why.

    Args:
        task: its name.
        points_of: as from `task_points`.
        resamples, confidence, seed: of the intervals. Every inner measure draws from the same
            seed, so one more measure changes no interval of the others.
    """
    rows: list[Row] = []
    reasons: Counter[str] = Counter()
    for (metric, name), chosen in points_of.items():
        mixed = mixed_slope(chosen["inner"], chosen["score"], chosen["model"].tolist(), confidence)
        reasons[mixed.reason] += 1
        found = associate(chosen, resamples, confidence, seed)
        found.append(_statistic("mixed-effects slope", *mixed[:3], len(chosen)))
        rows += [{"task": task, "inner measure": name, "metric": metric, **r} for r in found]
    missing = [f"{reason} ({number})" for reason, number in reasons.items() if reason]
    if missing:
        log.warning(
            "%s: no mixed-effects slope of %d of %d inner measures and metrics: %s",
            task, reasons.total() - reasons[""], reasons.total(), ", ".join(missing),
        )  # fmt: skip
    return rows


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table and that of points, from those of scores, probes and attention.

    The settings are of statistics.
    """
    settings = Statistics.model_validate_json(sources.settings)
    found = {
        task: task_points(
            sources.table("scores", task),
            sources.table("probes", task),
            sources.table("attention", task, list(ATTENTION)),
        )
        for task in sources.tasks("scores")
    }
    resampling = (settings.resamples, settings.confidence, settings.seed)
    rows = [row for task, own in found.items() for row in association_rows(task, own, *resampling)]
    all_points = [each.assign(task=task) for task, own in found.items() for each in own.values()]
    return {
        "association": Table([rows], {"confidence": settings.confidence}),
        "association-points": Table([pd.concat(all_points)] if all_points else []),
    }
