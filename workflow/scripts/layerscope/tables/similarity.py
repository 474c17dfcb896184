"""A part of the table of measures of similarity: all variants of a model on a task."""

from __future__ import annotations

from layerscope.core.formats import file_metadata, read_table
from layerscope.core.table_files import Row, Sources, Table, path_parts
from layerscope.tables.rows import similarity_rows


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}.parquet."""

    def rows(path: str) -> list[Row]:
        task, model, variant = path_parts(path, ("task", "model", "variant"))
        layers = file_metadata(path, "similarity").get("layers")
        last = layers and layers - 1
        return similarity_rows(read_table(path, "similarity"), task, model, variant, last)

    return {"similarity": Table(map(rows, sources.files))}
