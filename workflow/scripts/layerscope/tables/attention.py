"""A part of the table of attention measures: all variants of a model on a task."""

from __future__ import annotations

from layerscope.config.statistics import Statistics
from layerscope.core.formats import read_table
from layerscope.core.table_files import Row, Sources, Table, path_parts
from layerscope.tables.rows import attention_rows


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}.parquet; the settings are of statistics."""
    settings = Statistics.model_validate_json(sources.settings)

    def rows(path: str) -> list[Row]:
        task, model, variant = path_parts(path, ("task", "model", "variant"))
        return attention_rows(
            read_table(path, "attention"),
            task,
            model,
            variant,
            settings.resamples,
            settings.confidence,
            settings.seed,
        )

    return {"attention": Table(map(rows, sources.files), {"confidence": settings.confidence})}
