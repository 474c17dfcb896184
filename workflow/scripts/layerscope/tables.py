"""The tables that figures draw: long form, fixed columns, rows in a fixed order.

Tasks, models, probes, views and labels keep the order in which the files are given, which is that
of the configuration; so does everything that is drawn from a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from layerscope.errors import UserError
from layerscope.files import whole_file
from layerscope.formats import file_metadata, read_table, write_blocks
from layerscope.measures import BASELINES
from layerscope.statistics import bootstrap_mean
from layerscope.variants import parse_variant

Row = dict[str, Any]


@dataclass(frozen=True)
class Sources:
    """What a table is computed from.

    Attributes:
        paths: files by name of what they are: a table, or `files` for results of earlier stages.
        settings: JSON; empty if there are none.
    """

    paths: Mapping[str, Sequence[str]]
    settings: str = ""

    @property
    def files(self) -> Sequence[str]:
        """Results of earlier stages."""
        return self.paths.get("files", ())

    def path(self, name: str) -> str:
        """The one file of a name.

        Raises:
            UserError: there is none, or more than one.
        """
        return only_path(self.paths, name)


class Table(NamedTuple):
    """A table to be written: blocks of rows, and what readers should know besides."""

    blocks: Iterable[Sequence[Row]]
    metadata: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Drawn:
    """The tables that a figure is drawn from.

    Attributes:
        paths: of the tables, by name.
        task: whose rows are drawn; None for a figure of all tasks.
    """

    paths: Mapping[str, Sequence[str]]
    task: str | None = None

    def table(self, name: str, measures: Sequence[str] | None = None) -> pa.Table:
        """Rows of a table; `measures` as in `read_task`."""
        path, kind = only_path(self.paths, name), f"{name}-table"
        if self.task is None:
            return read_table(path, kind)
        return read_task(path, kind, self.task, measures)

    def rows(self, name: str, measures: Sequence[str] | None = None) -> list[Row]:
        """The same as a list."""
        found: list[Row] = self.table(name, measures).to_pylist()
        return found

    def confidence(self, name: str) -> float:
        """Of the intervals in a table."""
        return float(file_metadata(only_path(self.paths, name), f"{name}-table")["confidence"])


def by_name(pairs: Sequence[str]) -> dict[str, list[str]]:
    """Paths by name, from `NAME=PATH` on a command line.

    Raises:
        UserError: something else was given.
    """
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not (name and separator and path):
            raise UserError(f"'{pair}': no name or no path; allowed: NAME=PATH")
        found.setdefault(name, []).append(path)
    return found


def only_path(paths: Mapping[str, Sequence[str]], name: str) -> str:
    """The one path of a name.

    Raises:
        UserError: there is none, or more than one.
    """
    found = paths.get(name, ())
    if len(found) != 1:
        raise UserError(f"{len(found)} files given for '{name}'; allowed: one, as {name}=PATH")
    return found[0]


def write_csv(path: str | Path) -> None:
    """Write a Parquet file as CSV beside it, whole or not at all; only a part is in memory."""
    with pq.ParquetFile(path) as table, whole_file(Path(path).with_suffix(".csv")) as partial:
        options = csv.WriteOptions(quoting_style="needed")
        with csv.CSVWriter(partial, table.schema_arrow, write_options=options) as writer:
            for batch in table.iter_batches():
                writer.write_batch(batch)


def join(paths: Sequence[str | Path], kind: str, out: str | Path) -> None:
    """Write the rows of several files of one kind as one table, in the order of the files.

    Raises:
        UserError: a file is of another kind, or was made with other settings than the first.
    """
    described = [file_metadata(path, kind) for path in paths]
    for path, found in zip(paths, described, strict=True):
        if found != described[0]:
            raise UserError(f"{path}: made with {found}; allowed: {described[0]}, as {paths[0]}")
    write_blocks(out, kind, (read_table(path, kind) for path in paths), described[0])
    write_csv(out)


def read_task(
    path: str | Path, kind: str, task: str, measures: Sequence[str] | None = None
) -> pa.Table:
    """Rows of one task of a table; of the others, nothing is kept in memory.

    Args:
        path: the table.
        kind: a key of `SCHEMAS`.
        task: its name.
        measures: values of the column `measure` to read; None for all.

    Raises:
        UserError: the table is of another kind or does not hold the task.
    """
    wanted = pc.field("task") == task
    if measures is not None:
        wanted &= pc.field("measure").isin(measures)
    chosen = read_table(path, kind, rows=wanted)
    if not len(chosen):
        known = tasks_of(path, kind)
        if task not in known:
            names = ", ".join(known) or "none, it is empty"
            raise UserError(f"{path}: no task '{task}'; allowed: {names}")
    return chosen


def tasks_of(path: str | Path, kind: str) -> list[str]:
    """Tasks of a table, in its order."""
    found: list[str] = pc.unique(read_table(path, kind, ["task"])["task"]).to_pylist()
    return found


def variant_keys(task: str, model: str, variant: str) -> Row:
    """The columns that name a variant.

    Raises:
        UserError: `variant` is not the name of one.
    """
    try:
        percent, seed = parse_variant(variant)
    except ValueError as error:
        raise UserError(f"{error}; allowed: pretrained, random, f<percent>-s<seed>") from None
    return {"task": task, "model": model, "variant": variant, "percent": percent, "seed": seed}


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


def probe_rows(table: pa.Table, task: str, model: str, variant: str, probe: str) -> list[Row]:
    """Rows of one file of probe scores, averaged over probe seeds.

    Depth is the layer over the last layer: 0 for the embeddings, 1 for the last layer.
    """
    keys = variant_keys(task, model, variant)
    groups: dict[tuple[str, int, str], list[float]] = {}
    for row in table.to_pylist():
        groups.setdefault((row["view"], row["layer"], row["metric"]), []).append(row["value"])
    last = max((layer for _, layer, _ in groups), default=0)
    views = list(dict.fromkeys(view for view, _, _ in groups))
    metrics = list(dict.fromkeys(metric for _, _, metric in groups))
    return [
        {
            **keys,
            "probe": probe,
            "view": view,
            "layer": layer,
            "depth": layer / max(last, 1),
            "metric": metric,
            "value": float(np.mean(groups[view, layer, metric])),
        }
        for view in views
        for metric in metrics
        for layer in range(last + 1)
        if (view, layer, metric) in groups
    ]


def similarity_rows(table: pa.Table, task: str, model: str, variant: str) -> list[Row]:
    """Rows of one file of similarity; depth is the layer over the last layer."""
    keys = variant_keys(task, model, variant)
    last = max(pc.max(table["layer"]).as_py() or 0, 1)
    return [{**keys, "depth": row["layer"] / last, **row} for row in table.to_pylist()]


def intervention_rows(table: pa.Table, task: str, model: str, variant: str) -> list[Row]:
    """Rows of one file of interventions; depth is the layer over the last layer."""
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
        resamples, confidence, seed: of the interval; see `layerscope.statistics`.
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


def number(value: float) -> float | None:
    """`value` as a table holds it: null in place of what is not finite."""
    return float(value) if math.isfinite(value) else None


def path_parts(path: str | Path, names: tuple[str, ...]) -> list[str]:
    """The last parts of a path, the suffix left out: where a stage says what a file is of.

    Raises:
        UserError: the path has fewer parts.
    """
    parts = Path(path).with_suffix("").parts[-len(names) :]
    if len(parts) < len(names):
        raise UserError(f"{path}: too short a path; allowed: …/{'/'.join(names)}.parquet")
    return list(parts)
