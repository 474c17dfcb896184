"""Examples as they stand in labelled files, by format, before anything is said of their content."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerscope.config.tasks import COLUMNS
from layerscope.core.errors import UserError, show
from layerscope.core.kinds import TaskKind, labels_examples
from layerscope.data.textfile import TextFile, at

_BLANKS = re.compile(r"[ \t]+")
#: What lines begin with that begin a document: of CoNLL-2003, and of JNLPBA as it was published.
_DOCUMENTS = ("-DOCSTART-", "###MEDLINE:")
_METADATA = re.compile(r"# ?\S+ = ")
_IDS = ("example_id", "group_id")

Columns = Mapping[str, str | int]


@dataclass(frozen=True)
class Record:
    """One example of a file."""

    path: Path
    line: int  # where it begins; of a table its row
    cells: Mapping[str, Any]  # by our names of columns
    word_lines: list[int] = field(default_factory=list)  # of tokens that have lines of their own
    unit: str = "line"

    @property
    def where(self) -> str:
        """How an error names the example."""
        return at(self.path, self.line, self.unit)

    def words_at(self, count: int) -> list[str]:
        """How an error names each of so many words."""
        if self.word_lines:
            return [at(self.path, line) for line in self.word_lines]
        return [f"{self.where}, word {number}" for number in range(1, count + 1)]


def read_records(
    file: TextFile, layout: str, kind: TaskKind, columns: Columns
) -> tuple[list[Record], Counter[str]]:
    """Read the examples of a file.

    Args:
        file: its text.
        layout: `jsonl`, `csv`, `tsv` or `conll`.
        kind: of the task. Delimited files of kind `ner` have one word a row, and the rows of a
            sentence follow each other with the same `example_id`.
        columns: our names of columns to the file's; what is left out has our name. Ids of examples
            and groups are read if the file has them.

    Returns:
        The examples, and how many lines of each sort were skipped.

    Raises:
        UserError: a line that cannot be read, a column that is missing, or rows of uneven length.
    """
    if layout == "conll":
        return _conll(file, columns)
    needed = needed_columns(kind)
    if layout == "jsonl":
        return _json_lines(file, columns, needed)
    delimiter = "," if layout == "csv" else "\t"
    if labels_examples(kind):
        return _delimited(file, delimiter, columns, needed)
    rows, skipped = _delimited(file, delimiter, columns, [*needed, "example_id"])
    return _sentences(rows), skipped


def needed_columns(kind: TaskKind) -> list[str]:
    """What every file of a kind of task must have, by our names."""
    return [name for name in COLUMNS[kind] if name not in _IDS]


def chosen_columns(
    found: Sequence[str], columns: Columns, needed: Sequence[str], where: str
) -> dict[str, str]:
    """Our names of the columns to read to the file's.

    Raises:
        UserError: a column that is needed, or that the configuration names, is missing.
    """
    optional = [name for name in _IDS if name in columns or name in found]
    chosen = {name: str(columns.get(name, name)) for name in dict.fromkeys([*needed, *optional])}
    for name, theirs in chosen.items():
        if theirs not in found:
            raise UserError(
                f"{where}: no column '{theirs}' (for {name}); found: {', '.join(found) or 'none'}"
            )
    return chosen


def _json_lines(
    file: TextFile, columns: Columns, needed: Sequence[str]
) -> tuple[list[Record], Counter[str]]:
    records: list[Record] = []
    skipped: Counter[str] = Counter()
    for number, line in enumerate(file.lines, 1):
        if not line.strip():
            skipped["blank_lines"] += 1
            continue
        where = at(file.path, number)
        try:
            value = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: not JSON ({error}); allowed: one object per line") from None
        if not isinstance(value, dict):
            raise UserError(f"{where}: {show(value)}; allowed: one JSON object per line")
        chosen = chosen_columns(list(value), columns, needed, where)
        if records and chosen.keys() != records[0].cells.keys():
            (other,) = list(chosen.keys() ^ records[0].cells.keys())[:1]
            has, lacks = (number, records[0].line)[:: 1 if other in chosen else -1]
            raise UserError(
                f"{at(file.path, lacks)}: no column '{other}', which line {has} has; allowed: in "
                "every line, or in none"
            )
        cells = {name: value[theirs] for name, theirs in chosen.items()}
        records.append(Record(file.path, number, cells))
    return records, skipped


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        double = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"key {show(double)} occurs twice")
    return found


def _delimited(
    file: TextFile, delimiter: str, columns: Columns, needed: Sequence[str]
) -> tuple[list[Record], Counter[str]]:
    """Rows below a header. In CSV cells may be quoted, in TSV a quote is a character as any."""
    csv.field_size_limit(2**31 - 1)  # the default refuses cells over 128 KiB
    reader = csv.reader(
        io.StringIO(file.text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE,
        strict=True,
    )
    header: list[str] | None = None
    records: list[Record] = []
    skipped: Counter[str] = Counter()
    line = 1
    while True:
        where = at(file.path, line)
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise UserError(f"{where}: {error}; allowed: cells with matching quotes") from None
        if not any(cell.strip() for cell in row):
            skipped["blank_lines"] += 1
        elif header is None:
            header = [cell.strip() for cell in row]
            used = {str(columns.get(name, name)) for name in [*needed, *_IDS]}
            if double := [name for name in header if name in used and header.count(name) > 1]:
                raise UserError(f"{where}: column '{double[0]}' occurs twice; allowed: once")
            chosen = chosen_columns(header, columns, needed, where)
        elif len(row) != len(header):
            raise UserError(f"{where}: {len(row)} cells; allowed: {len(header)}, as in the header")
        else:
            found = dict(zip(header, row, strict=True))
            cells = {name: found[theirs] for name, theirs in chosen.items()}
            records.append(Record(file.path, line, cells))
        line = reader.line_num + 1
    return records, skipped


def _sentences(rows: Sequence[Record]) -> list[Record]:
    """Join rows of one word each into sentences."""
    sentences: list[Record] = []
    for row in rows:
        cells = row.cells
        if not sentences or sentences[-1].cells["example_id"] != cells["example_id"]:
            sentences.append(Record(row.path, row.line, {**cells, "tokens": [], "tags": []}))
        _add_word(sentences[-1], row.line, cells["tokens"], cells["tags"])
    return sentences


def _add_word(sentence: Record, line: int, token: str, tag: str) -> None:
    sentence.cells["tokens"].append(token)
    sentence.cells["tags"].append(tag)
    sentence.word_lines.append(line)


def _conll(file: TextFile, columns: Columns) -> tuple[list[Record], Counter[str]]:
    """One word a line, blank lines between sentences; columns by position.

    Cells are separated by single tabs, or by blanks in a line without a tab. The sentences of a
    document, where lines say where one begins, have a group of their own. A line that begins with
    `#` is a comment if it is metadata of CoNLL-U or has another number of cells than words have.
    """
    token_at, tag_at = int(columns.get("tokens", 0)), int(columns.get("tags", -1))
    width = _width(file)
    records: list[Record] = []
    skipped: Counter[str] = Counter()
    begins, blank = True, False  # the next word begins a sentence; the line before was blank
    for number, line in enumerate(file.lines, 1):
        if not line.strip(" \t"):
            skipped["empty_sentences"] += blank
            begins = blank = True
            continue
        if line.lstrip(" \t").startswith(_DOCUMENTS):
            skipped["document_lines"] += 1
            begins, blank = True, False
            continue
        cells = _cells(line)
        if line.startswith("#") and (len(cells) != width or _METADATA.match(line)):
            skipped["comment_lines"] += 1
            continue
        blank = False
        where = at(file.path, number)
        if len(cells) != width:
            raise UserError(f"{where}: {len(cells)} columns; allowed: {width}, as in the first")
        if max(token_at + 1, tag_at + 1, -token_at, -tag_at) > width or width < 2:
            raise UserError(
                f"{where}: {width} columns; allowed: one of words at {token_at} and one of tags "
                f"at {tag_at}"
            )
        if begins:
            document = skipped["document_lines"]
            group = {"group_id": f"document {document}"} if document else {}
            records.append(Record(file.path, number, {"tokens": [], "tags": [], **group}))
            begins = False
        _add_word(records[-1], number, cells[token_at], cells[tag_at])
    return records, +skipped


def _cells(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else _BLANKS.split(line.strip(" "))


def _width(file: TextFile) -> int:
    """Number of cells of the first line that is surely a word; of the first line if none is."""
    lines = [line for line in file.lines if line.strip(" \t")]
    words = (line for line in lines if not line.lstrip(" \t").startswith((*_DOCUMENTS, "#")))
    first = next(words, next(iter(lines), ""))
    return len(_cells(first))
