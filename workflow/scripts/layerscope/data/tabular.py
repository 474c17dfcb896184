"""Examples in Parquet files, such as those of data sets on a hub."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from layerscope.config.base import TaskKind
from layerscope.core.errors import UserError
from layerscope.core.files import sha256_file
from layerscope.data.examples import Columns, Record, chosen_columns, needed_columns

BATCH = 4096  # rows in memory as Python objects


def read_parquet(
    path: Path, kind: TaskKind, columns: Columns
) -> tuple[list[Record], Counter[str], dict[str, str | int]]:
    """Read the examples of a file: one row each; tokens and tags are lists.

    Numbers in a column whose classes the `datasets` library has named in the file (`ClassLabel`)
    become those names.

    Returns:
        The examples, how many classes of them were named, and digest, bytes and rows of the file.

    Raises:
        UserError: the file is no whole Parquet file, or lacks a column.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            chosen = chosen_columns(schema.names, columns, needed_columns(kind), str(path))
            names = {ours: _classes(schema, theirs) for ours, theirs in chosen.items()}
            records: list[Record] = []
            named: Counter[str] = Counter()
            for batch in file.iter_batches(BATCH, columns=list(dict.fromkeys(chosen.values()))):
                for row in batch.to_pylist():
                    cells = {ours: row[theirs] for ours, theirs in chosen.items()}
                    for ours, known in names.items():
                        if known:
                            cells[ours], count = _named(cells[ours], known)
                            named["named_classes"] += count
                    records.append(Record(path, len(records) + 1, cells, unit="row"))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: {message}; allowed: a whole Parquet file") from None
    facts: dict[str, str | int] = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    return records, +named, facts | {"rows": len(records)}


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
