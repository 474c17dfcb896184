"""Files of tables: what a table is computed from, and how one is read, joined and written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from layerscope.core.applicability import merged, missing_models, without
from layerscope.core.errors import UserError
from layerscope.core.files import whole_file
from layerscope.core.formats import SCHEMAS, file_metadata, read_table, write_blocks
from layerscope.core.formats.tables import Rows
from layerscope.core.variants import PRETRAINED, RANDOM, parse_variant, without_seed

if TYPE_CHECKING:
    import pandas as pd

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

    def table(
        self, name: str, task: str | None = None, measures: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Rows of a table; `task` and `measures` as in `read_frame`."""
        return read_frame(self.path(name), f"{name}-table", task, measures)

    def tasks(self, name: str) -> list[str]:
        """Tasks of a table, in its order."""
        return tasks_of(self.path(name), f"{name}-table")


class Table(NamedTuple):
    """A table to be written: blocks of rows, and what readers should know besides."""

    blocks: Iterable[Rows]
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

    def table(self, name: str, measures: Sequence[str] | None = None) -> pd.DataFrame:
        """Rows of a table; `measures` as in `read_frame`."""
        return read_frame(only_path(self.paths, name), f"{name}-table", self.task, measures)

    def missing(self, name: str) -> dict[str, dict[str, str]]:
        """Reasons by model, and by analysis, for which rows are missing in a table."""
        described = file_metadata(only_path(self.paths, name), f"{name}-table")
        return missing_models(described, self.task)

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
    """Write a Parquet file as CSV beside it, whole or not at all; only a part is in memory.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    with pq.ParquetFile(path) as table, whole_file(Path(path).with_suffix(".csv")) as partial:
        options = csv.WriteOptions(quoting_style="needed")
        with csv.CSVWriter(partial, table.schema_arrow, write_options=options) as writer:
            for batch in table.iter_batches():
                columns = [
                    pc.replace_substring_regex(column, r"^([=+@\t\r-])", r"'\1")
                    if pa.types.is_string(column.type)
                    else column
                    for column in batch.columns
                ]
                writer.write_batch(pa.record_batch(columns, schema=batch.schema))


def join(paths: Sequence[str | Path], kind: str, out: str | Path) -> None:
    """Write the rows of several files of one kind as one table, in the order of the files.

    Raises:
        UserError: a file is of another kind, or was made with other settings than the first.
    """
    descriptions = [file_metadata(path, kind) for path in paths]
    common = without(descriptions[0])
    for path, found in zip(paths, descriptions, strict=True):
        if without(found) != common:
            raise UserError(f"{path}: made with {found}; allowed: {common}, as {paths[0]}")
    metadata = {**common, **merged(descriptions)}
    write_blocks(out, kind, (read_table(path, kind) for path in paths), metadata)
    write_csv(out)


def read_frame(
    path: str | Path, kind: str, task: str | None = None, measures: Sequence[str] | None = None
) -> pd.DataFrame:
    """Rows of a table, null as NaN; of what is not asked for, nothing is kept in memory.

    Args:
        path: the table.
        kind: a key of `SCHEMAS`.
        task: whose rows to read; None for all.
        measures: values of the column `measure` to read; None for all.

    Raises:
        UserError: the table is of another kind, or has no rows of the task and no reason why not.
    """
    wanted = pc.scalar(True) if task is None else pc.field("task") == task
    if measures is not None:
        wanted &= pc.field("measure").isin(measures)
    chosen = read_table(path, kind, rows=wanted)
    if task is not None and not len(chosen):
        known = tasks_of(path, kind)
        missing = missing_models(file_metadata(path, kind), task)
        if task not in known and not missing:
            names = ", ".join(known) or "none, it is empty"
            raise UserError(f"{path}: no task '{task}'; allowed: {names}")
    return chosen.to_pandas()


def add_steps(blocks: Iterable[Rows], kind: str, training: Sequence[str | Path]) -> Iterable[Rows]:
    """Rows with the steps that each variant was trained for; null where that is not known.

    Args:
        blocks: lists of rows or data frames with `task`, `model` and `variant`, without `steps`.
        kind: what the rows are of, a key of `SCHEMAS`.
        training: the table of trainings or a part of it, or nothing.
    """
    known: dict[tuple[str, str, str], int | None] = {}
    for row in [row for path in training for row in read_table(path, "training-table").to_pylist()]:
        known[row["task"], row["model"], row["variant"]] = row["steps"]
        mean = (row["task"], row["model"], f"f{row['percent']}")  # over seeds
        known[mean] = row["steps"] if known.get(mean, row["steps"]) == row["steps"] else None

    def steps(task: str, model: str, variant: str) -> int | None:
        untrained = without_seed(variant) in (PRETRAINED, RANDOM)
        return 0 if untrained else known.get((task, model, variant))

    for rows in blocks:
        if isinstance(rows, Sequence):
            yield [
                {**row, "steps": steps(row["task"], row["model"], row["variant"])} for row in rows
            ]
        else:
            keys = zip(rows["task"], rows["model"], rows["variant"], strict=True)
            yield {
                **{name: rows[name] for name in SCHEMAS[kind] if name != "steps"},
                "steps": [steps(*each) for each in keys],
            }


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
        raise UserError(
            f"{error}; allowed: pretrained, random-s<seed>, f<percent>-s<seed>"
        ) from None
    return {"task": task, "model": model, "variant": variant, "percent": percent, "seed": seed}


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
