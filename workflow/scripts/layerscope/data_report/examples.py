"""Examples of the training data as a reader sees them: entities marked, texts and labels named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from layerscope.core.kinds import labels_examples, text_columns
from layerscope.core.wording import counted
from layerscope.data.iob import spans
from layerscope.data.sampling import ordered_groups, strata
from layerscope.data_report.elements import Markup, code, described, shown

Row = dict[str, Any]

SHOWN = 10
#: Rows that are in memory as Python's objects at once.
BLOCK = 1000
#: Words of a text that are shown; of a longer one, as many.
MOST_WORDS = 200
#: Colours that the style sheet has for types of entities; the label says which type it is.
COLOURS = 8


def chosen(kind: str, table: pa.Table, seed: int) -> list[Row]:
    """A few rows of a prepared table, drawn by seed; labels, or entity types, occur as in all."""
    batches = table.to_batches(max_chunksize=BLOCK)
    found = [each for batch in batches for each in strata(kind, batch.to_pylist())]
    order = ordered_groups(table.column("example_id").to_pylist(), found, "data report", seed)
    rows: list[Row] = table.take([index for (index,) in order[:SHOWN]]).to_pylist()
    return rows


def rendered(kind: str, rows: Sequence[Row], types: Sequence[str]) -> str:
    """A list of examples.

    Args:
        kind: of the rows.
        rows: to show.
        types: of entities, whose places number their colours.
    """
    shown_by = _texts(text_columns(kind)) if labels_examples(kind) else _sentence
    items = "".join(
        f'<li>{shown_by(row, types)}<p class="quiet">{code(row["example_id"])}</p></li>\n'
        for row in rows
    )
    return f'<ol class="examples">\n{items}</ol>\n'


def _sentence(row: Row, types: Sequence[str]) -> str:
    tokens, tags = row["tokens"][:MOST_WORDS], row["tags"][:MOST_WORDS]
    parts, done = [], 0
    for start, end, name in spans(tags):
        parts += [shown(token) for token in tokens[done:start]]
        colour = types.index(name) % COLOURS if name in types else 0
        words = " ".join(map(shown, tokens[start:end]))
        parts.append(f'<mark class="c{colour}">{words} <b>{shown(name)}</b></mark>')
        done = end
    parts += [shown(token) for token in tokens[done:]]
    return f'<p dir="auto">{" ".join(parts)}{_more(len(row["tokens"]))}</p>'


def _texts(columns: Sequence[str]) -> Callable[[Row, Sequence[str]], str]:
    """How an example of texts with a label is shown."""

    def render(row: Row, _: Sequence[str]) -> str:
        entries: Mapping[str, object] = {
            name.capitalize(): Markup(f'<span dir="auto">{_cut(row[name])}</span>')
            for name in columns
        }
        return described({**entries, "Label": Markup(f"<strong>{shown(row['label'])}</strong>")})

    return render


def _cut(text: str) -> str:
    words = text.split()
    if len(words) <= MOST_WORDS:
        return shown(text)
    return shown(" ".join(words[:MOST_WORDS])) + _more(len(words))


def _more(words: int) -> str:
    left = words - MOST_WORDS
    told = f"… and {counted(left, 'more word')}"
    return f' <span class="quiet">{told}</span>' if left > 0 else ""
