"""A part of the table of probe scores: all variants of a model on a task."""

from __future__ import annotations

import pandas as pd

from layerscope.core.formats import read_table
from layerscope.core.table_files import Sources, Table, path_parts
from layerscope.tables.rows import probe_rows


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from files …/{task}/{model}/{variant}/{probe}.parquet."""

    def rows(path: str) -> pd.DataFrame:
        task, model, variant, probe = path_parts(path, ("task", "model", "variant", "probe"))
        return probe_rows(read_table(path, "probe"), task, model, variant, probe)

    return {"probes": Table(map(rows, sources.files))}
