"""How probes and attention moved: a figure a model and variant, without intervals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from layerscope.core.formats import read_table
from layerscope.core.measures import task_metrics
from layerscope.core.variants import without_seed

Row = dict[str, Any]


def compare_probes(a: Path, b: Path) -> list[Row]:
    """The best layer of each probe, by the task's primary metric, as a mean over seeds.

    Args:
        a, b: folders of results; one without a table of probes has nothing.

    Returns:
        `task`, `model`, `variant` (`pretrained`, `random`, `f{percent}`), `probe`, `view`,
        `metric`; and of each side that has it the value, `a` and `b`, and the layer, `layer_a` and
        `layer_b`.
    """
    best_a, best_b = (_best_layers(results / "tables" / "probes.parquet") for results in (a, b))
    names = ("task", "model", "variant", "probe", "view", "metric")
    rows = []
    for key in sorted({*best_a, *best_b}):
        row = dict(zip(names, key, strict=True))
        for side, best in (("a", best_a), ("b", best_b)):
            if key in best:
                row |= {f"layer_{side}": best[key][0], side: best[key][1]}
        rows.append(row)
    return rows


def compare_attention(a: Path, b: Path) -> list[Row]:
    """The mean of each measure over layers, heads and seeds.

    Args:
        a, b: folders of results; one without a table of attention has nothing.

    Returns:
        `task`, `model`, `variant`, `measure`, and the means `a` and `b` of each side that has them.
    """
    mean_a, mean_b = (
        _mean_attention(results / "tables" / "attention.parquet") for results in (a, b)
    )
    names = ("task", "model", "variant", "measure")
    rows = []
    for key in sorted({*mean_a, *mean_b}):
        row = dict(zip(names, key, strict=True))
        row |= {side: mean[key] for side, mean in (("a", mean_a), ("b", mean_b)) if key in mean}
        rows.append(row)
    return rows


def _means(path: Path, kind: str, names: list[str]) -> dict[tuple[Any, ...], float]:
    """Mean value by variant without its seed and further columns; {} if there is no table."""
    if not path.is_file():
        return {}
    columns = read_table(path, kind, ["task", "model", "variant", *names, "value"]).to_pydict()
    sums: dict[tuple[Any, ...], list[float]] = {}
    for task, model, variant, *rest, value in zip(*columns.values(), strict=True):
        if value is not None and math.isfinite(value):
            key = (task, model, without_seed(variant), *rest)
            entry = sums.setdefault(key, [0.0, 0])
            entry[0] += value
            entry[1] += 1
    return {key: total / count for key, (total, count) in sums.items()}


def _best_layers(path: Path) -> dict[tuple[Any, ...], tuple[int, float]]:
    """Of the probes that learned from the first split in a task's rows, as all analyses."""
    found = _means(path, "probes-table", ["rows", "probe", "view", "metric", "layer"])
    means = {key: value for key, value in found.items() if key[-1] is not None}  # no best layers
    metrics: dict[str, set[str]] = {}
    first: dict[str, str] = {}
    for task, _, _, split, _, _, metric, _ in means:
        metrics.setdefault(task, set()).add(metric)
        first.setdefault(task, split)
    primary = {task: task_metrics(names)[0] for task, names in metrics.items()}
    best: dict[tuple[Any, ...], tuple[int, float]] = {}
    for (task, model, variant, split, probe, view, metric, layer), value in sorted(means.items()):
        key = (task, model, variant, probe, view, metric)
        chosen = split == first[task] and metric == primary[task]
        if chosen and (key not in best or value > best[key][1]):
            best[key] = (layer, value)
    return best


def _mean_attention(path: Path) -> dict[tuple[Any, ...], float]:
    return _means(path, "attention-table", ["measure"])
