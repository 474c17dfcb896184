"""The tables of scores and of confusions, of all models."""

from __future__ import annotations

import json

from layerscope.core.files import read_json
from layerscope.core.table_files import Sources, Table
from layerscope.tables.rows import confusion_rows, score_rows


def tabulate(sources: Sources) -> dict[str, Table]:
    """Both tables, from one JSON file for each task and model.

    The settings are `architecture` and `domain` of each model.
    """
    contents = [read_json(path) for path in sources.files]
    return {
        "scores": Table([score_rows(contents, json.loads(sources.settings))]),
        "confusion": Table([confusion_rows(contents)]),
    }
