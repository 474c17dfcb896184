"""What the explorer shows, gathered from a study's tables into one JSON object.

Numbers keep `DIGITS` significant digits. All layers, heads, variants and measures are kept. Of
measures of attention that only say how to read another one (nulls and ceilings) the intervals are
left out: they are half of all numbers. The published study (4 models, up to 24 layers of 16 heads,
14 variants, 12 measures of attention, 2 tasks) takes about 6 MB so, the demo 0.5 MB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from layerscope.core.encodings import is_half
from layerscope.core.looks import METRICS
from layerscope.core.measures import Point, chosen_measures, task_metrics
from layerscope.core.variants import RANDOM

DIGITS = 5

#: Points of each inner measure, by metric of the score; made by
#: `layerscope.statistics.inner_measures`.
Points = Mapping[str, Mapping[str, Sequence[Point]]]
Json = dict[str, Any]

_NAMES = METRICS | {
    "control_accuracy": "Accuracy on the control task",
    "code_length": "Code length (bits)",
    "control_compression": "Compression of the control task",
    "anisotropy": "Anisotropy",
    "anisotropy_centred": "Anisotropy, centred",
    "entropy": "Entropy (bits)",
    "distance": "Distance (sub-words)",
    "special": "Share on special tokens",
    "first": "Share on the first token",
    "cosine": "Cosine",
    "jsd": "JSD (bits)",
    "cosine_no_special": "Cosine, no special tokens",
    "jsd_no_special": "JSD (bits), no special tokens",
}
#: What stands behind the name of a measure of attention that serves to read it.
_REFERENCES = {
    "_null_head": "null, other head",
    "_null_sentence": "null, other sentence",
    "_ceiling": "ceiling, two seeds",
}


def short(value: float | None) -> float | int | None:
    """A number of `DIGITS` significant digits; null in place of what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded


def measure_name(measure: str) -> str:
    """A measure in words; one that is not known here, by its own name."""
    for ending, words in _REFERENCES.items():
        if measure.endswith(ending):
            return f"{measure_name(measure.removesuffix(ending))}: {words}"
    return _NAMES.get(measure, measure.replace("_", " ").capitalize())


def _is_reference(measure: str) -> bool:
    return measure.endswith(tuple(_REFERENCES))


def contents(
    study: str,
    tables: Mapping[str, pa.Table | None],
    points: Mapping[str, Points],
    confidence: float,
) -> Json:
    """All that the page shows.

    Args:
        study: its name.
        tables: `scores`, `probes`, `attention`, `association`, `similarity` and `entry`, each of
            the kind of that name. One that is None or left out shows as nothing.
        points: of each task, what the association is of.
        confidence: of the intervals.

    Returns:
        JSON that depends on the tables alone, in their order.
    """
    there = {name: table for name, table in tables.items() if table is not None and len(table)}
    about: dict[str, Json] = {}
    for row in _rows(there, "scores", "model", "architecture", "domain"):
        if row[1] != "baseline":
            about.setdefault(row[0], {"architecture": row[1], "domain": row[2]})
    tasks: dict[str, Json] = {}
    for name in ("scores", "probes", "attention", "similarity"):
        for task, model in _rows(there, name, "task", "model"):
            tasks.setdefault(task, {})
            if name != "scores":
                about.setdefault(model, {})
    for task, content in tasks.items():
        own = {name: table.filter(pc.field("task") == task) for name, table in there.items()}
        content |= _task(own, points.get(task, {}), list(about))
    return {
        "study": study,
        "confidence": confidence,
        "models": about,
        "tasks": tasks,
    }


def _rows(tables: Mapping[str, pa.Table], name: str, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows of a table as tuples of the columns; none if it is not there."""
    if name in tables:
        yield from zip(*(tables[name][column].to_pylist() for column in columns), strict=True)


def _task(own: Mapping[str, pa.Table], points: Points, models: Sequence[str]) -> Json:
    tuned = {
        (percent, seed)
        for name in ("scores", "probes", "attention", "similarity")
        for percent, seed in _rows(own, name, "percent", "seed")
        if percent > 0 and seed is not None
    }
    scores, metrics = _scores(own)
    curves, layers = _layers(own, metrics)
    attention = _attention(own)
    present = {*layers, *attention}.union(*scores.values())
    inner = list(dict.fromkeys(name for by_name in points.values() for name in by_name))
    return {
        "models": [model for model in models if model in present],
        "shares": sorted({percent for percent, _ in tuned}),
        "seeds": sorted({seed for _, seed in tuned}),
        "metrics": [{"key": metric, "name": measure_name(metric)} for metric in metrics],
        "scores": scores,
        "baselines": list(
            dict.fromkeys(
                model
                for model, kind in _rows(own, "scores", "model", "architecture")
                if kind == "baseline"
            )
        ),
        "curves": curves,
        "layers": layers,
        "entry": _entry(own),
        "measures": _measures(own),
        "attention": attention,
        "inner": [{"key": name, "name": _inner_name(name)} for name in inner],
        "first": next(iter(chosen_measures(inner)), None),
        "points": {
            metric: {
                name: [[p.model, p.percent, p.seed, short(p.inner), short(p.score)] for p in known]
                for name, known in by_name.items()
            }
            for metric, by_name in points.items()
        },
        "association": _association(own),
    }


def _scores(own: Mapping[str, pa.Table]) -> tuple[Json, list[str]]:
    """Scores by metric, model and variant, with intervals; metrics, the task's own one first."""
    found: Json = {}
    columns = ("metric", "model", "variant", "value", "low", "high")
    for metric, model, variant, *values in _rows(own, "scores", *columns):
        by_model = found.setdefault(metric, {}).setdefault(model, {})
        by_model[variant] = [short(value) for value in values]
    if not found:
        return {}, []
    first = [metric for metric in task_metrics(found) if metric in found]
    return found, list(dict.fromkeys([*first, *found]))


def _layers(own: Mapping[str, pa.Table], metrics: Sequence[str]) -> tuple[list[Json], Json]:
    """What can be drawn by layer, and its values by model, curve and variant."""
    keys = ("model", "variant", "layer", "value")
    rows = [
        ("probe", f"{probe}|{view}|{metric}", (f"{probe} probe, {view}", metric), *rest)
        for probe, view, metric, *rest in _rows(own, "probes", "probe", "view", "metric", *keys)
    ] + [
        ("similarity", f"|{view}|{measure}", (f"similarity, {view}", measure), *rest)
        for view, measure, *rest in _rows(own, "similarity", "view", "measure", *keys)
    ]
    curves: dict[str, Json] = {}
    found: Json = {}
    for _, key, (group, metric), model, variant, layer, value in rows:
        curves.setdefault(key, {"key": key, "group": group, "name": measure_name(metric)})
        values = found.setdefault(model, {}).setdefault(key, {}).setdefault(variant, [])
        values += [None] * (layer + 1 - len(values))
        values[layer] = short(value)

    def first(key: str) -> tuple[bool, ...]:
        probe, view, metric = key.split("|")
        whole = not is_half(view)
        return (
            not (probe and whole and metric in metrics[:1]),
            not probe.startswith("linear"),
            view not in ("joint", "word"),
        )

    best = min(curves, key=first, default=None)
    return [curve | {"first": key == best} for key, curve in curves.items()], found


def _entry(own: Mapping[str, pa.Table]) -> Json:
    """Where information enters, by model, curve and variant: value of each measure."""
    found: Json = {}
    columns = ("model", "probe", "view", "metric", "variant", "measure", "value")
    for model, probe, view, metric, variant, measure, value in _rows(own, "entry", *columns):
        by_curve = found.setdefault(model, {}).setdefault(f"{probe}|{view}|{metric}", {})
        by_curve.setdefault(variant, {})[measure] = short(value)
    return found


def _measures(own: Mapping[str, pa.Table]) -> list[Json]:
    """Measures of attention: whether variants before fine-tuning have them too, and references."""
    before: dict[str, bool] = {}
    for measure, percent, variant in _rows(own, "attention", "measure", "percent", "variant"):
        before[measure] = before.get(measure, False) or (percent == 0 and variant != RANDOM)
    return [
        {
            "key": measure,
            "name": measure_name(measure),
            "before": known,
            # Of the two maps of a head, before and after: similar, or apart.
            "compares": measure.startswith(("cosine", "jsd")) and not _is_reference(measure),
            "references": [
                {"key": measure + ending, "name": words}
                for ending, words in _REFERENCES.items()
                if measure + ending in before
            ],
        }
        for measure, known in before.items()
    ]


def _attention(own: Mapping[str, pa.Table]) -> Json:
    """Of each model its layers and heads, and measures: `[values, low, high]` of each variant.

    Each of the three is layer by layer, all heads of a layer in a row. References have values only.
    """
    columns = ("model", "measure", "variant", "layer", "head", "value", "low", "high")
    rows = list(_rows(own, "attention", *columns))
    shapes: dict[str, tuple[int, int, int]] = {}
    for model, _, _, layer, head, *_ in rows:
        low, high, heads = shapes.get(model, (layer, layer, 0))
        shapes[model] = (min(low, layer), max(high, layer), max(heads, head + 1))
    found: Json = {
        model: {"layer": low, "layers": high - low + 1, "heads": heads, "values": {}}
        for model, (low, high, heads) in shapes.items()
    }
    for model, measure, variant, layer, head, *values in rows:
        low, high, heads = shapes[model]
        alone = _is_reference(measure)
        by_variant = found[model]["values"].setdefault(measure, {})
        cells = by_variant.get(variant)
        if cells is None:
            size = (high - low + 1) * heads
            cells = by_variant[variant] = [[None] * size for _ in range(1 if alone else 3)]
        for part, value in zip(cells, values, strict=False):
            part[(layer - low) * heads + head] = short(value)
    return found


def _association(own: Mapping[str, pa.Table]) -> Json:
    """By metric, inner measure and statistic: value, low, high, number of points."""
    found: Json = {}
    columns = ("metric", "inner measure", "statistic", "value", "low", "high", "n")
    for metric, name, statistic, *values in _rows(own, "association", *columns):
        by_name = found.setdefault(metric, {}).setdefault(name, {})
        by_name[statistic] = [short(value) for value in values]
    return found


def _inner_name(name: str) -> str:
    """An inner measure as it is chosen from a list."""
    return name[:1].upper() + name[1:]
