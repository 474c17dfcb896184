"""Pieces of the page: headed tables and lists, with every text escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Markup(str):
    """HTML that stands in the page as it is; any other value is escaped."""

    __slots__ = ()


class Line(NamedTuple):
    """A row of a table: its header, and its cells; without cells, the header of those below."""

    header: object
    cells: Sequence[object] = ()


def shown(value: object) -> str:
    """A value as the page shows it: numbers with separators, texts escaped.

    >>> shown(12345), shown(2.0), shown("a < b"), shown(None)
    ('12,345', '2', 'a &lt; b', 'not stated')
    """
    if isinstance(value, Markup):
        return value
    if value is None:
        return "not stated"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        value = int(value) if value.is_integer() else round(value, 2)
    return f"{value:,}" if isinstance(value, int | float) else html.escape(str(value))


def code(text: object) -> Markup:
    """A name as it stands in files."""
    return Markup(f"<code>{html.escape(str(text))}</code>")


def paragraph(text: object, kind: str = "") -> str:
    """A paragraph, of a class of the style sheet if one is given."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{shown(text)}</p>\n"


def bullets(texts: Iterable[object]) -> str:
    """A list of sentences."""
    return f"<ul>{''.join(f'<li>{shown(text)}</li>' for text in texts)}</ul>\n"


def described(entries: Mapping[str, object]) -> str:
    """Values by what they are."""
    pairs = (f"<dt>{shown(name)}</dt><dd>{shown(each)}</dd>\n" for name, each in entries.items())
    return f"<dl>\n{''.join(pairs)}</dl>\n"


def table(caption: str, columns: Sequence[object], lines: Iterable[Line], *, text: int = 0) -> str:
    """A table; one that is wider than the screen is moved to its sides.

    Args:
        caption: what it shows.
        columns: their headers, that of the rows' headers first.
        lines: its rows.
        text: how many columns after the first hold text; others hold numbers.
    """
    kinds = [' class="text"'] * (text + 1) + [""] * (len(columns) - text - 1)
    pairs = zip(kinds, columns, strict=True)
    head = "".join(
        f'<th scope="col"{kind}>{shown(each)}</th>' if each else "<td></td>" for kind, each in pairs
    )
    body = "".join(_row(line, kinds) for line in lines)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(caption)}">'
        f"<table><caption>{shown(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _row(line: Line, kinds: Sequence[str]) -> str:
    header = shown(line.header)
    if not line.cells:
        attributes = f'scope="colgroup" colspan="{len(kinds)}"'
        return f'<tr class="group"><th {attributes}><span>{header}</span></th></tr>\n'
    pairs = zip(kinds[1:], line.cells, strict=True)
    cells = "".join(f"<td{kind}>{shown(cell)}</td>" for kind, cell in pairs)
    return f'<tr><th scope="row">{header}</th>{cells}</tr>\n'
