"""What the explorer shows, gathered from a study's tables into one JSON object.

Numbers keep `DIGITS` significant digits. All layers, heads, variants and measures are kept. The
intervals of attention measures that only help to interpret another one (nulls and ceilings) are
left out, since they are half of all numbers. The published study (4 models, up to 24 layers of 16
heads, 14 variants, 12 measures of attention, 2 tasks) then takes about 6 MB, the demo 0.5 MB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from layerscope.core.encodings import WHOLE, is_half
from layerscope.core.formats import SCHEMAS
from layerscope.core.looks import METRICS
from layerscope.core.measures import chosen_measures, last_layer, of_main_rows, task_metrics
from layerscope.core.variants import RANDOM, without_seed
from layerscope.explorer import further
from layerscope.statistics.permutation import few_models

DIGITS = 5

#: Tables with rows of single variants, and all that are shown.
WITH_VARIANTS = ("scores", "probes", "attention", "similarity")
TABLES = (
    *(*WITH_VARIANTS, "layer_localization"),
    *(*further.TABLES, "head_importance", "error_analysis"),
    *("association", "association-points", "not_applicable"),
)

Json = dict[str, Any]

_NAMES = METRICS | {
    "control_accuracy": "Accuracy on the control task",
    "code_length": "Code length (bits)",
    "control_compression": "Compression of the control task",
    "mutual_knn_null": "Mutual k-NN: null, shuffled examples",
    "procrustes_null": "Procrustes: null, shuffled examples",
    "anisotropy": "Anisotropy",
    "anisotropy_centred": "Anisotropy, centred",
    "entropy": "Entropy (bits)",
    "distance": "Distance (sub-words)",
    "special": "Attention on special tokens (fraction)",
    "first": "Attention on the first token (fraction)",
    "invariance": "Invariance to edits",
    "curvature": "Curvature (degrees)",
    "kl": "Divergence from the model's answers (bits)",
    "importance": "Importance (nats per label)",
    "cosine": "Cosine",
    "jsd": "JSD (bits)",
    "cosine_no_special": "Cosine, no special tokens",
    "jsd_no_special": "JSD (bits), no special tokens",
}
#: Endings of attention measures that help to interpret another one, in words.
_REFERENCES = {
    "_null_head": "null, other head",
    "_null_sentence": "null, other sentence",
    "_ceiling": "ceiling, two seeds",
}


def short(value: float | None) -> float | int | None:
    """A number of `DIGITS` significant digits; null if it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded


def measure_name(measure: str) -> str:
    """A measure in words; an unknown one by its own name."""
    for ending, words in _REFERENCES.items():
        if measure.endswith(ending):
            return f"{measure_name(measure.removesuffix(ending))}: {words}"
    return _NAMES.get(measure, measure.replace("_", " ").capitalize())


def _is_reference(measure: str) -> bool:
    return measure.endswith(tuple(_REFERENCES))


def contents(study: str, tables: Mapping[str, pd.DataFrame], confidence: float) -> Json:
    """Everything that the page shows.

    Args:
        study: its name.
        tables: by name, each of the kind of that name; those of `TABLES` that are left out are
            shown as empty.
        confidence: of the intervals.

    Returns:
        JSON that depends on the tables alone, in their order.
    """
    there = {name: tables.get(name, _empty(name)) for name in TABLES}
    scores, *inside = (there[name] for name in WITH_VARIANTS)
    known = scores[scores["architecture"] != "baseline"].drop_duplicates("model")
    about = known.set_index("model")[["architecture", "domain"]].to_dict("index")
    for model in pd.concat([table["model"] for table in inside]).unique():
        about.setdefault(model, {})
    tasks = pd.concat([table["task"] for table in (scores, *inside)]).unique()
    return {
        "study": study,
        "confidence": confidence,
        "models": about,
        "tasks": {
            task: _task({name: rows[rows["task"] == task] for name, rows in there.items()}, about)
            for task in tasks
        },
    }


def _empty(name: str) -> pd.DataFrame:
    return pd.DataFrame(columns=list(SCHEMAS[f"{name}-table"]))


def _nested(rows: pd.DataFrame, keys: Sequence[str], leaf: Callable[[pd.DataFrame], Any]) -> Any:
    """An object of the values of the first key, in each one of the next, and so on.

    Args:
        rows: of a table.
        keys: columns; the order of their values is that of the rows.
        leaf: what stands innermost, from the rows that have all keys in common.
    """
    if not keys:
        return leaf(rows)
    by_key = rows.groupby(keys[0], sort=False)
    return {key: _nested(own, keys[1:], leaf) for key, own in by_key}


def _numbers(*columns: str) -> Callable[[pd.DataFrame], list[Any]]:
    """Numbers of a single row, as a leaf of `_nested`."""
    return lambda rows: [short(rows[column].iloc[-1]) for column in columns]


def _task(own: Mapping[str, pd.DataFrame], models: Iterable[str]) -> Json:
    variants = pd.concat([own[name][["percent", "seed"]] for name in WITH_VARIANTS])
    tuned = variants[variants["percent"] > 0].dropna()
    table = own["scores"]
    scores, metrics = _scores(table)
    curves, layers = _layers(own, metrics)
    importance = further.importance_of_heads(own["head_importance"])
    heads = pd.concat(
        [each for each in (own["attention"], importance) if len(each)] or [importance]
    )
    attention = _attention(heads)
    present = {*layers, *attention}.union(*scores.values())
    inner = own["association"].drop_duplicates("inner measure")
    names = list(inner["inner measure"])
    association = _nested(
        own["association"],
        ["metric", "inner measure", "statistic"],
        _numbers("value", "low", "high", "n", "models", "p_corrected"),
    )
    points = _nested(own["association-points"], ["metric", "inner measure"], _points)
    return {
        "models": [model for model in models if model in present],
        "fractions": sorted(int(percent) for percent in tuned["percent"].unique()),
        "seeds": sorted(int(seed) for seed in tuned["seed"].unique()),
        "metrics": [{"key": metric, "name": measure_name(metric)} for metric in metrics],
        "scores": scores,
        "baselines": list(table.loc[table["architecture"] == "baseline", "model"].unique()),
        "curves": curves,
        "layers": layers,
        "layer_localization": _localization(own["layer_localization"]),
        "measures": _measures(heads),
        "attention": attention,
        "evaluation": _shortened(further.evaluation(own["error_analysis"])),
        "missing": _nested(
            own["not_applicable"], ["model", "analysis"], lambda rows: rows["reason"].iloc[0]
        ),
        "inner": [
            {"key": name, "name": _inner_name(name, placebo)}
            for name, placebo in zip(names, inner["placebo"], strict=True)
        ],
        "first": next(iter(chosen_measures(names)), None),
        "points": {
            metric: {name: points.get(metric, {}).get(name, []) for name in known}
            for metric, known in association.items()
        },
        "association": association,
        "few": {
            metric: few_models(int(rows["models"].max()))
            for metric, rows in own["association"].groupby("metric", sort=False)
        },
    }


def _scores(rows: pd.DataFrame) -> tuple[Json, list[str]]:
    """Scores by metric, model and variant, with intervals; metrics, the task's own one first."""
    found = _nested(rows, ["metric", "model", "variant"], _numbers("value", "low", "high"))
    if not found:
        return {}, []
    first = [metric for metric in task_metrics(found) if metric in found]
    return found, list(dict.fromkeys([*first, *found]))


def _layers(own: Mapping[str, pd.DataFrame], metrics: Sequence[str]) -> tuple[list[Json], Json]:
    """The curves that can be drawn by layer, and their values by model, curve and variant."""
    probes, similarity = of_main_rows(own["probes"]), own["similarity"]
    rows = pd.concat(
        [
            probes.assign(
                table="probes",
                name=probes["metric"].map(measure_name),
                key=_curve(probes),
                group=probes["probe"] + " probe, " + probes["view"],
            ),
            similarity.assign(
                table="similarity",
                name=similarity["measure"].map(measure_name),
                key="|" + similarity["view"] + "|" + similarity["measure"],
                group="similarity, " + similarity["view"],
            ),
            further.further_curves(own, measure_name),
        ]
    )
    curves = rows.drop_duplicates("key")

    def first(key: str) -> tuple[bool, ...]:
        probe, view, metric = key.split("|")
        whole = not is_half(view)
        return (
            not (probe and whole and metric in metrics[:1]),
            not probe.startswith("linear"),
            view not in WHOLE,
        )

    best = min(curves["key"], key=first, default=None)
    shown = [
        {"key": row.key, "group": row.group, "name": row.name, "table": row.table,
         "first": row.key == best}
        for row in curves[["key", "group", "name", "table"]].itertuples(index=False)
    ]  # fmt: skip
    return shown, _nested(rows, ["model", "key", "variant"], _by_layer)


def _shortened(value: Any) -> Any:
    """The same with all numbers of `DIGITS` digits."""
    if isinstance(value, dict):
        return {key: _shortened(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shortened(each) for each in value]
    return value if isinstance(value, str) else short(value)


def _curve(rows: pd.DataFrame) -> pd.Series:
    """Key of a probe's curve."""
    return rows["probe"] + "|" + rows["view"] + "|" + rows["metric"]


def _by_layer(rows: pd.DataFrame) -> list[Any]:
    values = dict(zip(rows["layer"], rows["value"], strict=True))
    return [short(values.get(layer)) for layer in range(last_layer(rows) + 1)]


def _localization(rows: pd.DataFrame) -> Json:
    """Layer localization by model, curve and variant: value of each measure."""
    keys = ["model", "key", "variant", "measure"]
    return _nested(rows.assign(key=_curve(rows)), keys, lambda row: short(row["value"].iloc[-1]))


def _measures(rows: pd.DataFrame) -> list[Json]:
    """Measures of attention: whether variants before fine-tuning have them too, and references."""
    plain = rows.assign(
        before=(rows["percent"] == 0) & (rows["variant"].map(without_seed) != RANDOM)
    )
    before = plain.groupby("measure", sort=False)["before"].any().to_dict()
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


def _attention(rows: pd.DataFrame) -> Json:
    """Of each model its layers and heads, and measures: `[values, low, high]` of each variant.

    Each of the three is layer by layer, all heads of a layer in a row. References have values only.
    """
    found: Json = {}
    for model, own in rows.groupby("model", sort=False):
        first, last, head = own["layer"].min(), own["layer"].max(), own["head"].max()
        layers, heads = int(last - first + 1), int(head + 1)
        cells = range(layers * heads)
        placed = own.assign(cell=(own["layer"] - first) * heads + own["head"])
        values = _nested(placed, ["measure", "variant"], partial(_of_cells, cells=cells))
        found[model] = {"layer": int(first), "layers": layers, "heads": heads, "values": values}
    return found


def _of_cells(rows: pd.DataFrame, cells: range) -> list[list[Any]]:
    alone = _is_reference(rows["measure"].iloc[0])
    columns = ["value"] if alone else ["value", "low", "high"]
    placed = rows.set_index("cell")[columns].reindex(cells)
    return [[short(value) for value in placed[column]] for column in columns]


def _points(rows: pd.DataFrame) -> list[list[Any]]:
    """Model, training percent, seed, inner measure and score of each point."""
    chosen = (rows[column] for column in ("model", "percent", "seed", "inner", "score"))
    return [[*variant, short(x), short(y)] for *variant, x, y in zip(*chosen, strict=True)]


def _inner_name(name: str, placebo: bool) -> str:
    """An inner measure as it is chosen from a list."""
    return f"Placebo: {name}" if placebo else name[:1].upper() + name[1:]
