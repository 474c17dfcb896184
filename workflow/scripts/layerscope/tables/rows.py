"""The tables that figures draw: long form, fixed columns, rows in a fixed order.

Tasks, models, probes, views and labels keep the order in which the files are given, which is that
of the configuration; so does everything that is drawn from a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from layerscope.core.errors import UserError
from layerscope.core.measures import BASELINES
from layerscope.core.table_files import Row, number, variant_keys
from layerscope.statistics.inference import bootstrap_mean


def score_rows(
    contents: Iterable[Mapping[str, Any]], models: Mapping[str, Mapping[str, str]]
) -> list[Row]:
    """Rows of the table of scores.

    Args:
        contents: the JSON of each (task, model): `task`, `model` and `scores`.
        models: `architecture` and `domain` of each model.

    Raises:
        UserError: a file is of a model that is neither in `models` nor a baseline.
    """
    rows = []
    for content in contents:
        model = content["model"]
        if model in models:
            about = models[model]
        elif model in BASELINES:
            about = {"architecture": "baseline", "domain": "none"}
        else:
            raise UserError(
                f"scores: model '{model}' is unknown; allowed: {', '.join([*models, *BASELINES])}"
            )
        keys = {"task": content["task"], "model": model, **about}
        scores = content["scores"]
        variants = list(dict.fromkeys(score["variant"] for score in scores))
        rows += [keys | s for variant in variants for s in scores if s["variant"] == variant]
    return rows


def confusion_rows(contents: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows of the table of confusions, from the same files as the scores."""
    return [
        {"task": content["task"], "model": content["model"], **cell}
        for content in contents
        for cell in content["confusion"]
    ]


def probe_rows(
    table: pa.Table, task: str, model: str, variant: str, probe: str, last: int
) -> pd.DataFrame:
    """Rows of one file of probe scores, averaged over probe seeds.

    Depth is the layer over the model's last one: 0 for the embeddings, 1 for the last layer.

    Args:
        last: number of the model's last layer, whether it was probed or not.
    """
    scores = table.to_pandas()
    by_layer = scores.groupby(["rows", "view", "metric", "layer"], sort=False)["value"]
    found = by_layer.agg(lambda seeds: np.mean(seeds.to_numpy())).reset_index()
    # Splits, views and metrics keep the order of the file.
    found = found.sort_values(["rows", "view", "metric", "layer"], key=_by_appearance)
    depth = found["layer"] / max(last, 1)
    return found.assign(**variant_keys(task, model, variant), probe=probe, depth=depth)


def _by_appearance(column: pd.Series) -> Any:
    return column if column.name == "layer" else pd.factorize(column)[0]


def similarity_rows(
    table: pa.Table, task: str, model: str, variant: str, last: int | None
) -> list[Row]:
    """Rows of one file of similarity; depth is the layer over the model's last one.

    Args:
        last: number of the model's last layer; None where it is in the file.
    """
    keys = variant_keys(task, model, variant)
    last = max(pc.max(table["layer"]).as_py() or 0 if last is None else last, 1)
    return [{**keys, "depth": row["layer"] / last, **row} for row in table.to_pylist()]


def intervention_rows(table: pa.Table, task: str, model: str, variant: str) -> list[Row]:
    """Rows of one file of interventions, patches or the head lens; depth is relative."""
    keys = variant_keys(task, model, variant)
    last = max(pc.max(table["layer"]).as_py() or 0, 1)
    return [
        {**keys, "depth": None if row["layer"] is None else row["layer"] / last, **row}
        for row in table.to_pylist()
    ]


def attention_rows(
    table: pa.Table,
    task: str,
    model: str,
    variant: str,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Row]:
    """Rows of one file of attention measures: means over examples with bootstrap intervals.

    Every measure draws from the same seed, so one more measure changes no interval of the others.
    Values that are null or not finite, such as those of an example too short for a measure, are
    left out; a mean of a single example has no interval.

    Args:
        table: a file of kind `attention`.
        resamples, confidence, seed: of the interval; see `layerscope.statistics.inference`.
    """
    keys = variant_keys(task, model, variant)
    table = table.filter(pc.is_finite(table["value"]))
    rows: list[Row] = []
    for measure in pc.unique(table["measure"]).to_pylist():
        values, layers, heads = _by_example(table.filter(pc.equal(table["measure"], measure)))
        mean, low, high = np.full((3, values.shape[1]), np.nan)
        present = np.isfinite(values)
        patterns, which = np.unique(present, axis=1, return_inverse=True)
        for index, used in enumerate(patterns.T):  # one, unless examples lack some heads
            columns = which == index
            mean[columns], low[columns], high[columns] = bootstrap_mean(
                values[np.ix_(used, columns)], resamples, confidence, np.random.default_rng(seed)
            )
        alone = present.sum(axis=0) < 2
        low[alone] = high[alone] = np.nan
        rows += [
            {
                **keys,
                "layer": int(layers[i]),
                "head": int(heads[i]),
                "measure": measure,
                "value": float(mean[i]),
                "low": number(low[i]),
                "high": number(high[i]),
            }
            for i in range(values.shape[1])
        ]
    return rows


def _by_example(
    table: pa.Table,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Values of one measure as examples x cells, NaN where there is none, and each cell's place."""
    examples = table["example_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    places = table["layer"].to_numpy().astype(np.int64) << 32 | table["head"].to_numpy()
    cells, cell = np.unique(places, return_inverse=True)
    values = np.full((examples.max() + 1, len(cells)), np.nan)
    values[examples, cell] = table["value"].to_numpy()
    return values, cells >> 32, cells & 0xFFFFFFFF


def pretraining_rows(contents: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows of the table of held-out loss and perplexity during pre-training."""
    return [
        {
            "model": content["model"],
            "corpus": content["corpus"],
            "objective": content["objective"],
            "step": evaluation["step"],
            "metric": metric,
            "value": evaluation[metric],
        }
        for content in contents
        for metric in ("loss", "perplexity")
        for evaluation in content["evaluations"]
    ]
