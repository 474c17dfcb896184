"""A part of the table of the importance of heads: all variants of a model on a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from layerscope.config.statistics import Statistics
from layerscope.core.applicability import gathered_from
from layerscope.core.formats import read_table
from layerscope.core.table_files import (
    Row,
    Sources,
    Table,
    number,
    path_parts,
    read_frame,
    variant_keys,
)
from layerscope.statistics.inference import Floats, Integers, bootstrap_mean

KEYS = ("task", "model", "variant")
HEAD = ("layer", "head")
#: Of a variant, layer and head: divergence of its maps before and after.
Changes = Mapping[tuple[str, int, int], float]


def importance_rows(
    table: pa.Table, keys: Mapping[str, Any], changes: Changes, settings: Statistics
) -> Iterator[Row]:
    """Rows of one file of gradients: the mean of their absolute values, with a bootstrap interval.

    Args:
        table: of kind "head_importance"; every example has all heads, in the same order.
        keys: what all rows have.
        changes: of heads, as far as they are known.
        settings: of the interval over examples.
    """
    if not len(table):
        return
    examples = len(pc.unique(table["example_id"]))
    gradients = table["gradient"].to_numpy().astype(np.float64).reshape(examples, -1)
    heads = table.slice(0, gradients.shape[1]).select([*HEAD, "key_value_head"]).to_pylist()
    rng = np.random.default_rng(settings.seed)
    mean, low, high = bootstrap_mean(
        np.abs(gradients), settings.resamples, settings.confidence, rng
    )
    if examples < 2:
        low[:] = high[:] = np.nan
    places = [(keys["variant"], head["layer"], head["head"]) for head in heads]
    jsd = np.asarray([changes.get(place, np.nan) for place in places])
    layers = np.asarray([head["layer"] for head in heads])
    normalised = [within_layers(each, layers) for each in (mean, jsd)]
    for at, head in enumerate(heads):
        yield {
            **keys,
            **head,
            "importance": float(mean[at]),
            "importance_low": number(low[at]),
            "importance_high": number(high[at]),
            "importance_normalised": number(normalised[0][at]),
            "jsd": number(jsd[at]),
            "jsd_normalised": number(normalised[1][at]),
        }


def within_layers(values: Floats, layers: Integers) -> Floats:
    """Values of heads over the Euclidean norm of those of their layer; NaN where it is 0."""
    length = np.sqrt([(values[layers == layer] ** 2).sum() for layer in layers])
    return np.divide(values, length, out=np.full_like(values, np.nan), where=length > 0)


def changes_of(sources: Sources, task: str, model: str) -> Changes:
    """How much heads change, from a table of attention or a part of it; empty without one."""
    if "attention" not in sources.paths:
        return {}
    rows = read_frame(sources.path("attention"), "attention-table", measures=["jsd"])
    rows = rows[(rows["task"] == task) & (rows["model"] == model)]
    places = zip(rows["variant"], rows["layer"], rows["head"], strict=True)
    return dict(zip(places, rows["value"], strict=True))


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}.parquet; the settings are of statistics."""
    settings = Statistics.model_validate_json(sources.settings)
    task, model, _ = path_parts(sources.files[0], KEYS)
    changes = changes_of(sources, task, model)

    def rows(path: str) -> list[Row]:
        keys = variant_keys(*path_parts(path, KEYS))
        return list(importance_rows(read_table(path, "head_importance"), keys, changes, settings))

    missing = gathered_from(sources.files, "head_importance")
    metadata = {"confidence": settings.confidence, **missing}
    return {"head_importance": Table(map(rows, sources.files), metadata)}
