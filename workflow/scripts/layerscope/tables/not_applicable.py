"""Which analyses are not applicable to which models, gathered from the tables that lack them."""

from __future__ import annotations

from layerscope.core.applicability import rows_of
from layerscope.core.formats import file_metadata
from layerscope.core.table_files import Sources, Table


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table, from the descriptions of those that are given."""
    given = [name for name in sources.paths if name != "files"]
    described = [file_metadata(sources.path(name), f"{name}-table") for name in given]
    return {"not_applicable": Table([rows_of(described)])}
