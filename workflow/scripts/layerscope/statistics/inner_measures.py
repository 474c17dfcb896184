"""Inner measures of fine-tuned variants, and the points that they make with downstream scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from layerscope.core.encodings import of_main_views
from layerscope.core.measures import Point
from layerscope.core.variants import PRETRAINED

Row = dict[str, Any]

#: What is taken from the table of attention.
ATTENTION = ("cosine", "jsd")

#: Value of each inner measure by (model, variant).
Inner = dict[str, dict[tuple[str, str], float]]


def centre_of_mass(depth: Sequence[float], weight: Sequence[float]) -> float:
    """Mean depth weighted by `weight` (0 or more); NaN if all weights are 0."""
    total = math.fsum(weight)
    if total <= 0:
        return float("nan")
    return math.fsum(d * w for d, w in zip(depth, weight, strict=True)) / total


def probe_measures(rows: Sequence[Row], metric: str) -> Inner:
    """Inner measures of the fine-tuned variants from one task's rows of the table of probes.

    Of main views alone (`main_views`): others would be the same question once more. For each
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
