"""Tasks, models and variants of the miniature study, and the rows of its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Row = dict[str, Any]

TASKS = ("hpo-nli", "hpo-ner")
MODELS = {"bert-tiny": 3, "gpt-tiny": 2}  # layers
TUNED = ("f50-s1", "f50-s2")
VARIANTS = ("pretrained", "random-s0", *TUNED)
BASELINES = {
    "hpo-nli": {"majority", "bag-of-words", "premise-only", "hypothesis-only"},
    "hpo-ner": {"majority", "bag-of-words"},
}
VIEWS = {"hpo-nli": ("separate", "joint", "joint-last"), "hpo-ner": ("word",)}


def rows_of(results: Path, table: str) -> list[Row]:
    """All rows of a table."""
    rows: list[Row] = pq.read_table(results / "tables" / f"{table}.parquet").to_pylist()
    return rows


def distinct(rows: list[Row], *columns: str) -> set[tuple[Any, ...]]:
    """The combinations of values that some columns have."""
    return {tuple(row[column] for column in columns) for row in rows}
