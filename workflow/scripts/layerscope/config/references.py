"""Published values that a study's own are compared with, from a CSV file."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from layerscope.config.base import IN_WORDS, PATTERNS
from layerscope.core.errors import UserError
from layerscope.core.measures import TASK_METRICS

#: In place of a model's name: the highest score of all models. For bounds alone.
ANY = "any"
#: `yes`: the same task and measure. `no`: shown beside ours, no verdict. `bound`: none of our
#: models should be above it.
COMPARABLE = ("yes", "no", "bound")
METRICS = tuple(dict.fromkeys(name for names in TASK_METRICS.values() for name in names))


class Reference(NamedTuple):
    """A published value of a score; value and tolerance are fractions, from 0 to 1."""

    task: str
    model: str
    metric: str
    percent: int
    value: float
    tolerance: float
    comparable: str
    source: str
    note: str


_FRACTION = "a share from 0 to 1, such as 0.776"
_NAME = f"a name: {IN_WORDS[PATTERNS['name']]}"

#: Each column but `note`: what its values match, and what is allowed in words.
_ALLOWED = {
    "task": (PATTERNS["name"], _NAME),
    "model": (PATTERNS["name"], f"{_NAME}; or '{ANY}' for a bound"),
    "metric": ("|".join(METRICS), ", ".join(METRICS)),
    "percent": (r"[1-9]\d?|100", "a whole number from 1 to 100"),
    "value": (r"[01]|0?\.\d+|[01]\.0+", _FRACTION),
    "tolerance": (r"[01]|0?\.\d+|[01]\.0+", _FRACTION),
    "comparable": ("|".join(COMPARABLE), ", ".join(COMPARABLE)),
    "source": (r"(?s).*\S.*", "where the value stands"),
}


def _mistake(cells: Mapping[str, str]) -> str | None:
    """What is wrong with a row, if anything is."""
    for column, (pattern, allowed) in _ALLOWED.items():
        if not re.fullmatch(pattern, cells[column]):
            return f"column '{column}': {cells[column]!r}; allowed: {allowed}"
    if (cells["model"] == ANY) != (cells["comparable"] == "bound"):
        allowed = f"'{ANY}' for a bound, and for nothing else"
        return f"column 'model': {cells['model']!r}; allowed: {allowed}"
    return None


def read_references(path: str | Path) -> list[Reference]:
    """Read and check a table of published values.

    Args:
        path: CSV in UTF-8 whose columns are the fields of `Reference`.

    Raises:
        UserError: it cannot be read, or a line for each row that is wrong: file, line, column,
            value and what is allowed.
    """
    wanted = list(Reference._fields)
    found: list[Reference] = []
    mistakes: list[str] = []
    lines: dict[tuple[object, ...], str] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            header = next(reader, [])
            if header != wanted:
                raise UserError(
                    f"{path} line 1: columns {', '.join(header) or 'missing'}; "
                    f"allowed: {', '.join(wanted)}"
                )
            before = reader.line_num
            for row in reader:
                where, before = f"{path} line {before + 1}", reader.line_num
                if not row:
                    continue
                if len(row) != len(wanted):
                    mistakes.append(f"{where}: {len(row)} cells; allowed: {len(wanted)}")
                    continue
                cells = dict(zip(wanted, row, strict=True))
                if mistake := _mistake(cells):
                    mistakes.append(f"{where}, {mistake}")
                    continue
                numbers = {
                    "percent": int(cells["percent"]),
                    "value": float(cells["value"]),
                    "tolerance": float(cells["tolerance"]),
                }
                reference = Reference(**{**cells, **numbers})  # type: ignore[arg-type]
                key = (*reference[:4], reference.source)
                if key in lines:
                    mistakes.append(
                        f"{where}, column 'source': {reference.source!r} as in line {lines[key]}; "
                        "allowed: a task, model, metric, percent and source once"
                    )
                lines.setdefault(key, where.rpartition(" ")[2])
                found.append(reference)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; allowed: a CSV file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; allowed: CSV in UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num}: {error}; allowed: CSV") from None
    if not mistakes and not found:
        mistakes.append(f"{path} line 2: no row; allowed: one or more")
    if mistakes:
        raise UserError("\n".join(mistakes))
    return found
