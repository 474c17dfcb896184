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
from layerscope.measures import Point, task_metrics
from layerscope.mixed import mixed_slope
from layerscope.statistics import (
    Floats,
    bootstrap_weights,
    cluster_index,
    interval,
    slope,
    spearman,
)
from layerscope.tables import Sources, Table, read_task, tasks_of
from layerscope.variants import PRETRAINED
from layerscope.views import of_main_views

Row = dict[str, Any]
#: What is taken from the table of attention.
ATTENTION = ("cosine", "jsd")
#: Value of each inner measure by (model, variant).
Inner = dict[str, dict[tuple[str, str], float]]


log = logging.getLogger(__name__)


def centre_of_mass(depth: Sequence[float], weight: Sequence[float]) -> float:
    """Mean depth weighted by `weight` (0 or more); NaN if all weights are 0."""
    total = math.fsum(weight)
    if total <= 0:
        return float("nan")
    return math.fsum(d * w for d, w in zip(depth, weight, strict=True)) / total


def probe_measures(rows: Sequence[Row], metric: str) -> Inner:
    """Inner measures of the fine-tuned variants from one task's rows of the table of probes.

    Of main views alone (`views.main_views`): others would be the same question once more. For each
    probe and view, of its score by layer in `metric`: that of the best layer; the mean of
    all layers; the gain of the best layer over the pre-trained model's best layer; and the depth
    (0 embeddings, 1 last layer), the centre of mass of what lies above the worst layer.
    """
    curves: dict[tuple[str, str], dict[tuple[str, str], list[tuple[float, float]]]] = {}
    for row in of_main_views(rows):
        if row["metric"] == metric and row["value"] is not None:
            by_variant = curves.setdefault((row["probe"], row["view"]), {})
            curve = by_variant.setdefault((row["model"], row["variant"]), [])
            curve.append((row["depth"], row["value"]))
    measures: Inner = {}
    for (probe, view), by_variant in curves.items():
        name = f"{probe} probe, {view} view: "
        for (model, variant), curve in by_variant.items():
            if "-s" not in variant:
                continue
            depth, score = zip(*sorted(curve), strict=True)
            before = by_variant.get((model, PRETRAINED))
            values = {
                "best layer": max(score),
                "mean of layers": math.fsum(score) / len(score),
                "gain of best layer": (
                    max(score) - max(s for _, s in before) if before else float("nan")
                ),
                "depth": centre_of_mass(depth, [s - min(score) for s in score]),
            }
            for ending, value in values.items():
                measures.setdefault(name + ending, {})[model, variant] = value
    return measures


def attention_measures(rows: Sequence[Row]) -> Inner:
    """Inner measures of the fine-tuned variants from one task's rows of the table of attention.

    The mean of all layers and heads of `cosine` and of `jsd` (bits), and the depth of the
    divergence: its centre of mass over blocks, the k-th of n standing at k / n.
    """
    values: dict[tuple[str, tuple[str, str]], dict[int, list[float]]] = {}
    for row in rows:
        if row["measure"] in ATTENTION and row["percent"] > 0:
            by_layer = values.setdefault((row["measure"], (row["model"], row["variant"])), {})
            by_layer.setdefault(row["layer"], []).append(row["value"])
    measures: Inner = {}
    names = {"cosine": "attention cosine", "jsd": "attention JSD"}
    for measure, name in names.items():
        for (kind, key), by_layer in values.items():
            if kind == measure:
                flat = [value for heads in by_layer.values() for value in heads]
                measures.setdefault(name, {})[key] = math.fsum(flat) / len(flat)
    for (kind, key), by_layer in values.items():
        if kind == "jsd":
            first, last = min(by_layer), max(by_layer)
            depth = [(layer - first + 1) / (last - first + 1) for layer in sorted(by_layer)]
            means = [math.fsum(by_layer[k]) / len(by_layer[k]) for k in sorted(by_layer)]
            measures.setdefault("attention JSD depth", {})[key] = centre_of_mass(depth, means)
    return measures


def inner_measures(probes: Sequence[Row], attention: Sequence[Row], metric: str) -> Inner:
    """All inner measures of one task; probes are scored in `metric`, as the task is."""
    return {**probe_measures(probes, metric), **attention_measures(attention)}


def points(scores: Sequence[Row], inner: dict[tuple[str, str], float], metric: str) -> list[Point]:
    """The fine-tuned variants that have both a score in `metric` and the inner measure.

    Args:
        scores: one task's rows of the table of scores; means over seeds and baselines are no
            points.
        inner: one inner measure by (model, variant).
        metric: of the score.
    """
    found = []
    for row in scores:
        value = inner.get((row["model"], row["variant"]), float("nan"))
        if (
            row["metric"] == metric
            and row["seed"] is not None
            and row["value"] is not None
            and math.isfinite(value)
        ):
            found.append(Point(row["model"], row["percent"], row["seed"], value, row["value"]))
    return found


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
    (`layerscope.mixed`). Where it cannot be estimated it is null, and the log says why.

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
