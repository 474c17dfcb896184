"""The table of held-out loss and perplexity of the models that the workflow pre-trains."""

from __future__ import annotations

from layerscope.core.files import read_json
from layerscope.core.table_files import Sources, Table
from layerscope.tables.rows import pretraining_rows


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table, from one JSON file for each model; there may be none."""
    contents = [read_json(path) for path in sources.files]
    return {"pretraining": Table([pretraining_rows(contents)])}
