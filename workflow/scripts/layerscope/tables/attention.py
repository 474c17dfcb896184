"""A part of the table of attention measures: all variants of a model on a task."""

from __future__ import annotations

from layerscope.config.statistics import Statistics
from layerscope.core.applicability import gathered_from
from layerscope.core.formats import read_table
from layerscope.core.table_files import Row, Sources, Table, path_parts
from layerscope.tables.rows import attention_rows

KEYS = ("task", "model", "variant")


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}.parquet; the settings are of statistics."""
    settings = Statistics.model_validate_json(sources.settings)

    def rows(path: str) -> list[Row]:
        task, model, variant = path_parts(path, KEYS)
        return attention_rows(
            read_table(path, "attention"),
            task,
            model,
            variant,
            settings.resamples,
            settings.confidence,
            settings.seed,
        )

    missing = gathered_from(sources.files, "attention")
    metadata = {"confidence": settings.confidence, **missing}
    return {"attention": Table(map(rows, sources.files), metadata)}
