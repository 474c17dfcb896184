"""A part of the table of the head lens: all variants of a model on a task."""

from __future__ import annotations

from layerscope.core.applicability import gathered_from
from layerscope.core.formats import read_table
from layerscope.core.table_files import Row, Sources, Table, path_parts
from layerscope.tables.rows import intervention_rows

KEYS = ("task", "model", "variant")


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}.parquet."""

    def rows(path: str) -> list[Row]:
        return intervention_rows(read_table(path, "head_lens"), *path_parts(path, KEYS))

    missing = gathered_from(sources.files, "head_lens")
    return {"head_lens": Table(map(rows, sources.files), missing)}
