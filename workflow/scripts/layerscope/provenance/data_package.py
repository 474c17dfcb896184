"""Tables described for other tools: a Data Package, as the Frictionless standard has it.

`datapackage.json` names each table's CSV file with its digest, and each column with type, sentence,
unit and range from the data dictionary, so that a program can read and check them unasked
(<https://datapackage.org>). The package frictionless writes it, and need not be installed. Of
Parquet files it reads nulls as numbers (5.21), so these are described in their own metadata alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from layerscope.catalogue import about_tables
from layerscope.core.files import sha256_file, write_json
from layerscope.core.formats.dictionary import Column, columns_of

FILE = "datapackage.json"
#: Why there is none.
MISSING = "the package frictionless is not installed; `pip install frictionless -c constraints.txt`"
_TYPES = {"text": "string", "true or false": "boolean", "integer": "integer", "number": "number"}
#: A computed number may lie beyond its range by as much.
_ROUNDING = 1e-6


def can_describe() -> bool:
    """Whether the library that writes descriptions is installed."""
    return find_spec("frictionless") is not None


def describe_tables(folder: Path, study: str, title: str) -> None:
    """Write `datapackage.json` for the CSV files in `tables/` of a folder.

    Args:
        folder: of the data set.
        study: its name.
        title: of the data set, in a few words.

    Raises:
        ImportError: frictionless is not installed.
    """
    from frictionless import Package, Resource

    files = {path.stem: path for path in sorted((folder / "tables").glob("*.csv"))}
    resources = [
        Resource.from_descriptor(
            {
                "name": name,
                "type": "table",
                "description": about,
                "path": f"tables/{name}.csv",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "bytes": files[name].stat().st_size,
                "hash": f"sha256:{sha256_file(files[name])}",
                "schema": {"fields": _fields(columns_of(name))},
            }
        )
        for name, about in about_tables(files)
    ]
    package = Package(name=study, title=title, resources=resources)
    write_json(folder / FILE, package.to_descriptor())


def _fields(columns: Iterable[Column]) -> list[dict[str, Any]]:
    """Fields of a Table Schema; `unit`, and when there is no value (`null`), are our own keys."""
    found = []
    for column in columns:
        said = {"unit": column.unit, "null": column.null}
        found.append(
            {
                "name": column.name,
                "type": _TYPES[column.type],
                "description": column.about,
                **{key: text for key, text in said.items() if text},
                "constraints": {"required": not column.null, **_range(column)},
            }
        )
    return found


def _range(column: Column) -> dict[str, Any]:
    """All that a text can be, or the ends of a number."""
    if not column.range or column.type not in ("integer", "number"):
        return {"enum": list(column.range)} if column.range else {}
    beyond = _ROUNDING if column.type == "number" else 0
    ends = zip(("minimum", "maximum"), column.range, (-beyond, beyond), strict=True)
    return {name: end + more for name, end, more in ends if math.isfinite(end)}
