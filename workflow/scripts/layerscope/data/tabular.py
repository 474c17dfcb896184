"""Examples in Parquet and Arrow files, such as those that `datasets` and hubs keep."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from layerscope.core.errors import UserError
from layerscope.core.files import sha256_file
from layerscope.core.kinds import TaskKind
from layerscope.data.examples import Columns, Record, chosen_columns, needed_columns

BATCH = 4096  # rows in memory as Python objects
_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream of Arrow; one cut between batches lacks it

#: A file's columns, and what reads some of them.
Opened = tuple[pa.Schema, Callable[[list[str]], Iterator[pa.RecordBatch]]]


def read_columns(
    path: Path,
    format_: str,
    kind: TaskKind,
    columns: Columns,
    classes: Mapping[str, Sequence[str]],
) -> tuple[list[Record], Counter[str], dict[str, str | int]]:
    """Read the examples of a file: one row each; tokens and tags are lists.

    Numbers in a column whose classes have names (`ClassLabel` of `datasets`) become those names:
    those that the file has, else those that are given.

    Args:
        path: the file.
        format_: `parquet`, or `arrow` as `Dataset.save_to_disk` writes.
        kind: of the task.
        columns: our names to the file's.
        classes: names of classes by the file's columns, from a description beside it.

    Returns:
        The examples, how many classes of them were named, and digest, bytes and rows of the file.

    Raises:
        UserError: the file is no whole one of its format, or lacks a column.
    """
    try:
        with (_parquet if format_ == "parquet" else _arrow)(path) as (schema, read):
            chosen = chosen_columns(schema.names, columns, needed_columns(kind), str(path))
            for theirs in chosen.values():
                if schema.names.count(theirs) > 1:
                    raise UserError(f"{path}: column '{theirs}' occurs twice; allowed: once")
            names = {
                ours: _classes(schema, theirs) or classes.get(theirs, [])
                for ours, theirs in chosen.items()
            }
            records: list[Record] = []
            named: Counter[str] = Counter()
            for batch in read(list(dict.fromkeys(chosen.values()))):
                for row in batch.to_pylist():
                    cells = {ours: row[theirs] for ours, theirs in chosen.items()}
                    for ours, known in names.items():
                        if known:
                            cells[ours], count = _named(cells[ours], known)
                            named["named_classes"] += count
                    records.append(Record(path, len(records) + 1, cells, unit="row"))
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path}: {message}; allowed: a whole {format_.capitalize()} file"
        ) from None
    facts: dict[str, str | int] = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    return records, +named, facts | {"rows": len(records)}


@contextmanager
def _parquet(path: Path) -> Iterator[Opened]:
    with pq.ParquetFile(path) as file:
        yield file.schema_arrow, lambda columns: file.iter_batches(BATCH, columns=columns)


@contextmanager
def _arrow(path: Path) -> Iterator[Opened]:
    with open(path, "rb") as file:
        file.seek(max(path.stat().st_size - len(_END), 0))
        if file.read() != _END:
            raise pa.ArrowInvalid("no end of the stream")
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
        yield stream.schema, lambda columns: _parts(stream, columns)


def _parts(stream: pa.RecordBatchStreamReader, columns: list[str]) -> Iterator[pa.RecordBatch]:
    for batch in stream:
        chosen = batch.select(columns)
        yield from (chosen.slice(start, BATCH) for start in range(0, batch.num_rows, BATCH))


def _classes(schema: pa.Schema, column: str) -> Sequence[str]:
    """Names of the classes of a column, by their number; none where the file has none.

    They are in the metadata that `datasets` writes: a feature of type `ClassLabel`, or a list of
    such.
    """
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        feature = features[column]
        while not isinstance(feature, Mapping) or feature.get("_type") != "ClassLabel":
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        found = feature["names"]
    except (KeyError, IndexError, TypeError, ValueError):
        return []
    return found if isinstance(found, list) and all(isinstance(n, str) for n in found) else []


def _named(cell: Any, names: Sequence[str]) -> tuple[Any, int]:
    """A cell with names in place of numbers, and how many; other numbers, such as -1, stay."""
    if isinstance(cell, list):
        found = [_named(each, names) for each in cell]
        return [each for each, _ in found], sum(count for _, count in found)
    if isinstance(cell, int) and not isinstance(cell, bool) and 0 <= cell < len(names):
        return names[cell], 1
    return cell, 0
