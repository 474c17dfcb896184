"""A model that is fine-tuned whole beside one of the same weights whose adapter is.

Where the inside differs though the score does not: the scores are compared by a test of
equivalence, and each inner measure, layer by layer and as the mean of all layers, by a test of
difference. Both models start from the same weights and learn from the same samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from layerscope.config.statistics import AdapterSettings
from layerscope.core.measures import task_metrics
from layerscope.core.table_files import Sources, Table, number
from layerscope.evaluation.inside import CKA, by_layer, difference
from layerscope.evaluation.significance import holm

Row = dict[str, Any]


def score_row(significance: pd.DataFrame, whole: str, adapter: str, margin: float) -> Row:
    """How much more the model with an adapter scores, from a task's table of significance.

    Raises:
        KeyError: it does not compare the two.
    """
    for one, other, sign in ((whole, adapter, 1), (adapter, whole, -1)):
        pair = (significance["model"] == one) & (significance["other"] == other)
        for row in significance[pair].to_dict("records"):
            ends = sorted((sign * row["low"], sign * row["high"]))
            return {
                "measure": row["metric"], "layer": None, "depth": None, "of_whole": None,
                "of_adapter": None, "value": sign * row["value"], "low": number(ends[0]),
                "high": number(ends[1]), "p": number(row["p"]), "p_corrected": None,
                "margin": margin, "p_equivalent": number(row["p_equivalent"]),
                "seeds": row["seeds"],
            }  # fmt: skip
    raise KeyError(f"{whole} and {adapter}")


def inner_rows(inner: pd.DataFrame, whole: str, adapter: str, confidence: float) -> list[Row]:
    """How the two differ inside, by measure: the mean of all layers, then each layer.

    The p of means of layers are corrected for the number of measures, those of layers for the
    number of layers (Holm). CKA is not tested: the rows that it is of are not drawn.

    Args:
        inner: one task's rows of `by_layer`.
        whole, adapter: names of the models.
        confidence: of intervals.
    """
    sides = {name: inner[inner["model"] == name] for name in (whole, adapter)}
    shared = set.intersection(*(set(side["measure"]) for side in sides.values()))
    means: list[Row] = []
    layers: list[Row] = []
    for measure in dict.fromkeys(name for name in inner["measure"] if name in shared):
        one, other = (side[side["measure"] == measure] for side in sides.values())
        drawn = not measure.startswith(CKA)
        averaged = (_mean_of_layers(one), _mean_of_layers(other))
        means.append({"measure": measure, **_compared(*averaged, confidence, drawn)})
        own, there = [], dict(iter(other.groupby("layer")))
        for layer, at in one[one["layer"].isin(there)].groupby("layer"):
            known = {"measure": measure, "layer": int(layer), "depth": float(at["depth"].iloc[0])}
            own.append(known | _compared(at, there[layer], confidence, drawn))
        layers += _corrected(own)
    return [*_corrected(means), *layers]


def _mean_of_layers(rows: pd.DataFrame) -> pd.DataFrame:
    """By variant; errors of layers, which share their test examples, are taken to go together."""
    return rows.groupby("variant", sort=False)[["value", "error"]].mean()


def _compared(one: pd.DataFrame, other: pd.DataFrame, confidence: float, drawn: bool) -> Row:
    """`drawn`: whether everything was that could have come out otherwise; else p is null."""
    value, low, high, p = difference(one, other, confidence)
    p = p if drawn else float("nan")
    return {
        "of_whole": float(one["value"].mean()), "of_adapter": float(other["value"].mean()),
        "value": value, "low": number(low), "high": number(high), "p": number(p),
        "seeds": min(len(one), len(other)),
    }  # fmt: skip


def _corrected(rows: Sequence[Row]) -> list[Row]:
    known = [float("nan") if row["p"] is None else row["p"] for row in rows]
    return [
        {"layer": None, "depth": None, "margin": None, "p_equivalent": None}
        | row
        | {"p_corrected": number(adjusted)}
        for row, adjusted in zip(rows, holm(known), strict=True)
    ]


def task_rows(sources: Sources, task: str, settings: AdapterSettings) -> Iterator[Row]:
    """Rows of the table of one task: of each pair its score, then its inner measures."""
    significance = sources.table("significance", task)
    largest = significance["percent"].max()
    significance = significance[significance["percent"] == largest]
    metric, _ = task_metrics(set(significance["metric"]))
    inner = by_layer(sources, task, metric, settings.confidence)
    for whole, adapter in settings.pairs:
        known = {"task": task, "model": whole, "adapter": adapter, "percent": int(largest)}
        yield known | score_row(significance, whole, adapter, settings.margin)
        for row in inner_rows(inner, whole, adapter, settings.confidence):
            yield known | row


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table, from those of significance and of inner measures."""
    settings = AdapterSettings.model_validate_json(sources.settings)
    rows = [list(task_rows(sources, task, settings)) for task in sources.tasks("significance")]
    return {"adapters": Table(rows, {"confidence": settings.confidence})}
