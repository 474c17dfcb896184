"""A part of the table of measures of similarity: all variants of a model on a task."""

from __future__ import annotations

from layerscope.formats import read_table
from layerscope.tables import Row, Sources, Table, path_parts, similarity_rows


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}.parquet."""

    def rows(path: str) -> list[Row]:
        return similarity_rows(
            read_table(path, "similarity"), *path_parts(path, ("task", "model", "variant"))
        )

    return {"similarity": Table(map(rows, sources.files))}
