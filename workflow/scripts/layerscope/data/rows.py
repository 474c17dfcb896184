"""Rows of prepared tables from the examples of labelled files: every cell checked and mapped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layerscope.core.errors import UserError, show
from layerscope.core.files import sha256_text
from layerscope.core.kinds import labels_examples, text_columns, units
from layerscope.data.examples import Record
from layerscope.data.prepared import Row
from layerscope.data.schemes import without_ends
from layerscope.data.text import text_key

LONG = 500  # words; a longer sentence or text is counted

#: What examples without an agreed label have in place of one: SNLI and MNLI, and copies on hubs.
UNLABELLED = ("-", "-1")

#: Characters that take no room: soft hyphens, zero-width spaces and joiners, marks of direction.
_ZERO_WIDTH = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_TAG = re.compile(r"O|[BIESLMU]-.+")

Mapped = Mapping[str, str | None] | None  # values of the file to labels or tags


@dataclass(frozen=True)
class Rows:
    """What the files of a split give."""

    rows: list[Row]
    places: list[str]  # of each row, as errors name them
    counts: dict[str, int]  # what was repaired, left out or noticed, and how often
    prefixes: set[str]  # of tags, before they are repaired

    def part(self, indices: Sequence[int]) -> Rows:
        """Some of the rows, with the same counts."""
        rows = [self.rows[index] for index in indices]
        places = [self.places[index] for index in indices]
        return Rows(rows, places, dict(self.counts), self.prefixes)


def make_rows(kind: str, split: str, records: Sequence[Record], labels: Mapped) -> Rows:
    """Rows of one split.

    An example without an id of its own has the split's name and its number from 0; without a group
    of its own, that of its text, premise (nli) or sentence (ner), by `text_key`.

    Args:
        kind: of the task.
        split: names the examples.
        records: its examples.
        labels: values of the file to labels or tags; None as value leaves the example out, None
            in place of the mapping takes the values as they are.

    Raises:
        UserError: a cell of the wrong type, an empty text, an unknown label, a malformed tag,
            tokens and tags of different number, or an id that occurs twice.
    """
    made = Rows([], [], {}, set())
    counts: Counter[str] = Counter()
    seen: dict[str, Record] = {}
    for index, record in enumerate(records):
        where = record.where
        id_ = _name(record, "example_id", where) or f"{split}-{index}"
        if id_ in seen:
            other = seen[id_]
            place = f"{other.unit} {other.line}" if other.path == record.path else other.where
            raise UserError(
                f"{where}: example_id {show(id_)} is that of {place} too; allowed: each id once"
            )
        seen[id_] = record
        if labels_examples(kind):
            row = _labelled(kind, record, labels, counts)
        else:
            row = _sentence(record, labels, counts, made.prefixes)
        if row is None:
            continue
        text = row[text_columns(kind)[0]] if labels_examples(kind) else " ".join(row["tokens"])
        group = _name(record, "group_id", where) or sha256_text(text_key(text) or text)[:16]
        made.rows.append({"example_id": id_, "group_id": group, **row})
        made.places.append(where)
    made.counts.update(+counts)
    return made


def _labelled(kind: str, record: Record, labels: Mapped, counts: Counter[str]) -> Row | None:
    """Texts and label; None if the example is to be left out."""
    where = record.where
    label = _mapped(record.cells["label"], "label", where, labels)
    if labels is None and label in UNLABELLED:
        raise UserError(
            f"{where}: label {label!r}, which usually means that there is no label; allowed: a "
            f"mapping 'labels' of all values, where null leaves such {units(kind)} out"
        )
    if label is None:
        counts["left_out_by_label"] += 1
        return None
    texts = {name: _text(record.cells[name], name, where, counts) for name in text_columns(kind)}
    for name, text in texts.items():
        if not _ZERO_WIDTH.sub("", text).strip():
            raise UserError(f"{where}: {name} has zero-width characters only; allowed: text")
    counts["long"] += any(len(text.split()) > LONG for text in texts.values())
    return {**texts, "label": label}


def _sentence(
    record: Record, labels: Mapped, counts: Counter[str], prefixes: set[str]
) -> Row | None:
    """Tokens and tags; None if the sentence is to be left out, or is empty."""
    where = record.where
    tokens, values = record.cells["tokens"], record.cells["tags"]
    for name, cell in (("tokens", tokens), ("tags", values)):
        if not isinstance(cell, list):
            raise UserError(f"{where}: {name} is {show(cell)}; allowed: a list")
    if len(tokens) != len(values):
        raise UserError(
            f"{where}: {len(tokens)} tokens and {len(values)} tags; allowed: one tag per token"
        )
    if not tokens:
        counts["empty_sentences"] += 1
        return None
    pairs = list(zip(tokens, values, record.words_at(len(tokens)), strict=True))
    tokens = [_text(token, "token", place, counts) for token, _, place in pairs]
    tags = [_tag(value, place, labels) for _, value, place in pairs]
    kept, changed = without_ends([tag for tag in tags if tag is not None])
    if len(kept) < len(tags):
        counts["left_out_by_label"] += 1
        return None
    prefixes.update(tag[0] for tag in tags if tag)
    counts["mapped_prefixes"] += changed
    counts["tokens_with_white_space"] += sum(len(token.split()) > 1 for token in tokens)
    counts["long"] += len(tokens) > LONG
    return {"tokens": tokens, "tags": kept}


# --- cells ---------------------------------------------------------------------------------------


def _text(value: object, column: str, where: str, counts: Counter[str] | None = None) -> str:
    """A text, without the white space at its ends, which is counted."""
    if not isinstance(value, str):
        raise UserError(f"{where}: {column} is {show(value)}; allowed: text")
    text = value.strip()
    if not text:
        raise UserError(f"{where}: {column} is empty; allowed: text")
    if "\0" in text:
        raise UserError(f"{where}: {column} has a NUL character; allowed: text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{where}: {column} has an unpaired surrogate; allowed: text") from None
    if counts is not None:
        counts["white_space_at_ends"] += text != value
        counts["zero_width_characters"] += bool(_ZERO_WIDTH.search(text))
    return text


def _plain(value: object) -> object:
    """A whole number of a JSON file as the text that it is in the other formats."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _name(record: Record, column: str, where: str) -> str | None:
    return _text(_plain(record.cells[column]), column, where) if column in record.cells else None


def _mapped(value: object, column: str, where: str, labels: Mapped) -> str | None:
    found = _text(_plain(value), column, where)
    if labels is None:
        return found
    if found not in labels:
        raise UserError(
            f"{where}: {column} {show(found)}; allowed by 'labels': {', '.join(labels)}"
        )
    return labels[found]


def _tag(value: object, where: str, labels: Mapped) -> str | None:
    tag = _mapped(value, "tag", where, labels)
    if tag is not None and not _TAG.fullmatch(tag):
        raise UserError(
            f"{where}: tag {show(tag)}; allowed: O, or a type after B- or I- "
            "(or E-, L-, M-, S-, U-)"
        )
    return tag
