"""Do heads that matter change more? And do seeds agree on which heads matter, and which change?

Importance (`layerscope.analysis.head_importance`) and change (the divergence of a head's maps
before and after fine-tuning) are correlated by rank over the heads of a layer, since both grow or
fall with depth for reasons of their own, and averaged over layers. How well two seeds agree on
either is what a correlation of the two can be compared with: where seeds disagree, no correlation
is to be expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from layerscope.config.statistics import Statistics
from layerscope.core.applicability import merged
from layerscope.core.formats import file_metadata
from layerscope.core.table_files import Row, Sources, Table, number
from layerscope.statistics.inference import Floats
from layerscope.statistics.within_layers import correlations, mean_correlation, permuted_p

#: What is correlated: importance with change, or one of them with itself in another seed.
BOTH = "importance-change"
SEEDS = {"importance": "importance-seeds", "jsd": "change-seeds"}


def cells(rows: pd.DataFrame, column: str) -> Floats:
    """A column as layers x heads x seeds.

    Args:
        rows: of one task and model in the table of importance.
        column: `importance` or `jsd`.
    """
    wide = rows.pivot(index=["layer", "head"], columns="seed", values=column)
    layers = wide.index.get_level_values("layer").nunique()
    return wide.to_numpy(dtype=float).reshape(layers, -1, wide.shape[1])


def correlation_rows(rows: pd.DataFrame, seed: int) -> Iterator[Row]:
    """Rows of the table, of one task and model.

    Args:
        rows: of the table of importance.
        seed: of the permutations.
    """
    rows = rows.sort_values(["layer", "head"], kind="stable")
    layers, seeds = sorted(rows["layer"].unique()), sorted(rows["seed"].unique())
    first = rows[(rows["layer"] == layers[0]) & (rows["seed"] == seeds[0])]
    keys = {name: first[name].iloc[0] for name in ("task", "model", "percent")}
    values = {column: cells(rows, column) for column in SEEDS}
    if np.isnan(values["jsd"]).any():
        del values["jsd"]
    else:
        both = values["importance"], values["jsd"]
        p = permuted_p(*both, first["key_value_head"].tolist(), seed)
        known = keys | {"statistic": BOTH}
        yield from _rows(known, layers, [(each, None) for each in seeds], correlations(*both), p)
    pairs = list(combinations(range(len(seeds)), 2))
    for column, own in values.items() if pairs else ():
        one, other = (own[..., list(side)] for side in zip(*pairs, strict=True))
        known = keys | {"statistic": SEEDS[column]}
        named = [(seeds[a], seeds[b]) for a, b in pairs]
        yield from _rows(known, layers, named, correlations(one, other))


def _rows(
    keys: Row,
    layers: list[int],
    seeds: list[tuple[int, int | None]],
    found: Floats,
    p: float = float("nan"),
) -> Iterator[Row]:
    """Of each seed, or pair of seeds, a row per layer and the mean; then the mean of all.

    Args:
        keys: what all rows have.
        layers: their numbers.
        seeds: seed and other seed of each column.
        found: layers x columns.
        p: of the mean of all.
    """
    for (seed, other), own in zip(seeds, found.T, strict=True):
        known = keys | {"seed": seed, "other_seed": other, "p": None}
        for layer, value in zip(layers, own, strict=True):
            yield known | {"layer": layer, "value": number(value)}
        yield known | {"layer": None, "value": number(mean_correlation(own))}
    of_all = {"layer": None, "seed": None, "other_seed": None, "p": number(p)}
    yield keys | of_all | {"value": number(mean_correlation(found))}


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table, from that of importance; the settings are of statistics."""
    seed = Statistics.model_validate_json(sources.settings).seed

    def of_task(task: str) -> list[Row]:
        rows = sources.table("head_importance", task)
        models = rows.groupby("model", sort=False)
        return [row for _, own in models for row in correlation_rows(own, seed)]

    described = file_metadata(sources.path("head_importance"), "head_importance-table")
    blocks = map(of_task, sources.tasks("head_importance"))
    return {"head_correlations": Table(blocks, merged([described]))}
