"""Whether inner measures of fine-tuned models go with their downstream scores.

A point is a fine-tuned variant of a model. Points of one model are not independent, so intervals
resample models, and with few models they are wide.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from layerscope.config.statistics import Statistics
from layerscope.core.measures import Point, task_metrics
from layerscope.core.table_files import Sources, Table, read_task, tasks_of
from layerscope.statistics.inference import (
    Floats,
    bootstrap_weights,
    cluster_index,
    interval,
    slope,
    spearman,
)
from layerscope.statistics.inner_measures import ATTENTION, inner_measures, points
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


def associate(chosen: Sequence[Point], resamples: int, confidence: float, seed: int) -> list[Row]:
    """How an inner measure goes with the score.

    Statistics: `spearman`, over all points, with a percentile bootstrap interval that resamples
    whole models (Field and Welsh 2007, Journal of the Royal Statistical Society B 69, 369-390);
    `spearman leave-one-model-out`, the mean, least and largest over models left out; and
    `within-model slope`, the least-squares slope with both sides centred within each model, score
    per unit of the inner measure, with the same kind of interval. With one model there is no
    interval; what is undefined is null.

    Returns:
        Rows of `statistic`, `value`, `low`, `high`, `n` (points).
    """
    inner = np.asarray([p.inner for p in chosen], dtype=float)
    score = np.asarray([p.score for p in chosen], dtype=float)
    models = [p.model for p in chosen]
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


def association_rows(
    task: str,
    metrics: Sequence[str],
    scores: Sequence[Row],
    probes: Sequence[Row],
    attention: Sequence[Row],
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Row]:
    """Rows of the table of associations of one task.

    Beside the statistics of `associate` there is the `mixed-effects slope`, both sides standardised
    (`layerscope.statistics.mixed`). Where it cannot be estimated it is null, and the log says why.

    Args:
        task: its name.
        metrics: of the score; probes are taken in the same one.
        scores, probes, attention: the task's rows of these tables.
        resamples, confidence, seed: of the intervals. Every inner measure draws from the same
            seed, so one more measure changes no interval of the others.
    """
    rows: list[Row] = []
    reasons: Counter[str] = Counter()
    for metric in metrics:
        for name, inner in inner_measures(probes, attention, metric).items():
            chosen = points(scores, inner, metric)
            mixed = mixed_slope(
                [p.inner for p in chosen],
                [p.score for p in chosen],
                [p.model for p in chosen],
                confidence,
            )
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
    """The table, from those of scores, probes and attention; the settings are of statistics."""
    settings = Statistics.model_validate_json(sources.settings)
    rows = []
    for task in tasks_of(sources.path("scores"), "scores-table"):
        scores = read_task(sources.path("scores"), "scores-table", task).to_pylist()
        rows += association_rows(
            task,
            task_metrics({row["metric"] for row in scores}),
            scores,
            read_task(sources.path("probes"), "probes-table", task).to_pylist(),
            read_task(sources.path("attention"), "attention-table", task, ATTENTION).to_pylist(),
            settings.resamples,
            settings.confidence,
            settings.seed,
        )
    return {"association": Table([rows], {"confidence": settings.confidence})}
