"""The data dictionary: what each column of a study's tables holds, from `columns.toml` beside this.

The words are in a file of their own that counts in no digest of code, since they change no value:
a better sentence reruns nothing but the page beside the tables.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from layerscope.core.errors import UserError
from layerscope.core.formats.schemas import SCHEMAS

PATH = Path(__file__).with_name("columns.toml")
SHARED = "shared"
TABLE = "-table"
#: Names of types for people.
_TYPES = {
    pa.string(): "text",
    pa.bool_(): "true or false",
    pa.int32(): "integer",
    pa.int64(): "integer",
    pa.float64(): "number",
}


class Column(NamedTuple):
    """A column of a table; of unit, range and null, what does not apply is empty."""

    name: str
    type: str
    about: str
    unit: str = ""
    range: tuple[Any, ...] = ()  # of a number lowest and highest, of a text all that it can be
    null: str = ""  # when there is no value

    @property
    def allowed(self) -> str:
        """The range in words."""
        if self.type not in ("integer", "number"):
            return ", ".join(self.range)
        low, high = self.range or (-math.inf, math.inf)
        ends = [f"{end:g}".replace("-", "−") for end in (low, high)]
        if math.isinf(high):
            return "any" if math.isinf(low) else f"{ends[0]} or more"
        return f"{ends[0]} to {ends[1]}"


@cache
def _entries() -> dict[str, dict[str, Mapping[str, Any]]]:
    with PATH.open("rb") as file:
        return tomllib.load(file)


def columns_of(table: str) -> list[Column]:
    """Columns of a table, in its order.

    Raises:
        UserError: dictionary and schema do not have the same columns, or an entry has other keys.
    """
    entries, types = _entries(), SCHEMAS[f"{table}{TABLE}"]
    own = entries.get(table, {})
    known = {**entries[SHARED], **own}
    lacking = [name for name in types if name not in known]
    if lacking or not own.keys() <= types.keys():
        wrong = lacking or [name for name in own if name not in types]
        raise UserError(
            f"{PATH}: table '{table}', column '{wrong[0]}': "
            f"{'not described' if lacking else 'not in the table'}; allowed: {', '.join(types)}"
        )
    found = []
    for name, kind in types.items():
        entry = dict(known[name])
        try:
            column = Column(name, _TYPES[kind], **entry)
        except TypeError:
            raise UserError(
                f"{PATH}: table '{table}', column '{name}': keys {', '.join(entry)}; "
                "allowed: about, and unit, range, null"
            ) from None
        found.append(column._replace(range=tuple(column.range)))
    return found


def fields_of(kind: str) -> list[pa.Field]:
    """Fields of a kind of file, a key of `SCHEMAS`; those of tables say in words what they hold.

    The metadata of a field has `about`, `unit`, `range` and `null`, those that apply.
    """
    if not kind.endswith(TABLE):
        return [pa.field(name, type_) for name, type_ in SCHEMAS[kind].items()]
    found = []
    for column in columns_of(kind.removesuffix(TABLE)):
        words = {"about": column.about, "unit": column.unit, "null": column.null}
        words["range"] = column.allowed if column.range else ""
        said = {name: text for name, text in words.items() if text}
        found.append(pa.field(column.name, SCHEMAS[kind][column.name], metadata=said))
    return found


def page(title: str, opening: str, tables: Iterable[tuple[str, str]]) -> str:
    """The dictionary of some tables as Markdown.

    Args:
        title: of the page.
        opening: text below it.
        tables: name of each, and what it holds in a sentence.
    """
    parts = [f"# {title}", opening.strip()]
    for name, about in tables:
        parts += [f"## {name}", about, "\n".join(_lines(columns_of(name)))]
    return "\n\n".join(parts) + "\n"


def _lines(columns: Sequence[Column]) -> list[str]:
    rows = [("column", "type", "what it holds", "unit", "range", "null")]
    for each in columns:
        name = f"`{each.name}`"
        rows.append((name, each.type, each.about, each.unit, each.allowed, each.null or "never"))
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]
