"""A part of the table of scores under interventions: all variants of a model on a task."""

from __future__ import annotations

from layerscope.formats import read_table
from layerscope.tables import Row, Sources, Table, intervention_rows, path_parts


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}.parquet."""

    def rows(path: str) -> list[Row]:
        return intervention_rows(
            read_table(path, "intervention"), *path_parts(path, ("task", "model", "variant"))
        )

    return {"interventions": Table(map(rows, sources.files))}
