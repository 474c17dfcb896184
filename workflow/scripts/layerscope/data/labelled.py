"""Labelled data from files: columns and labels mapped, every cell checked, the rest counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.config.tasks import COLUMNS, HubFiles, LocalFiles
from layerscope.data.iob import entity_labels
from layerscope.data.prepared import SPLITS, PreparedTask, Row
from layerscope.data.records import Record, read_records
from layerscope.data.sampling import limited
from layerscope.data.schemes import to_iob2
from layerscope.data.text import text_key
from layerscope.data.textfile import TextFile, at, read_text, show
from layerscope.errors import UserError
from layerscope.files import sha256_text

SUMS = "SHA256SUMS.txt"  # PhysioNet's list of digests
LONG = 500  # words; a longer sentence or text is counted as long

_TAG = re.compile(r"O|[BIESLU]-.+")
_SUM = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")


def read_task(
    kind: str,
    source: LocalFiles | HubFiles,
    folder: Path,
    limit: Mapping[str, int | None],
    seed: int,
) -> PreparedTask:
    """Read a task from its files.

    Args:
        kind: `nli` or `ner`.
        source: files, format, columns, labels and what the files have to be.
        folder: where the files lie.
        limit: the most examples of each split; whole groups are chosen, stratified.
        seed: of that choice.

    Raises:
        UserError: a file is missing, is not what the source requires, or has a line that cannot be
            read.
    """
    files = _read_files(source, folder)
    splits: dict[str, list[Row]] = {}
    lines: dict[str, list[int]] = {}
    facts: dict[str, Any] = {}
    for split, file in files.items():
        records, skipped = read_records(
            file, source.format, kind, source.columns, COLUMNS[_kind(kind)][:-2]
        )
        expected = getattr(source.examples, split) if source.examples else None
        if expected is not None and len(records) != expected:
            raise UserError(f"{file.path}: {len(records)} examples; allowed: {expected}")
        reader = _Reader(kind, split, file.path, source.labels)
        splits[split], lines[split] = reader.rows(records)
        facts[split] = {**file.facts, "examples": len(records), **skipped, **+reader.counts}
    labels = _labels(kind, source.labels, splits["train"])
    for split in SPLITS[1:]:
        _check_known(kind, labels, splits[split], lines[split], files[split].path)
    return PreparedTask(
        kind=kind,
        labels=labels,
        splits={
            split: limited(kind, splits[split], limit[split], seed) if splits[split] else []
            for split in SPLITS
        },
        source=_provenance(source, files),
        facts={
            "seed": seed,
            "limit": dict(limit),
            "available": {split: len(rows) for split, rows in splits.items()},
            "files": facts,
        },
        caveats=(),
    )


def _kind(kind: str) -> Any:
    return kind


def _provenance(source: LocalFiles | HubFiles, files: Mapping[str, TextFile]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": "files",
        "license": source.license,
        "citation": source.citation,
        "sha256": {file.path.name: file.facts["sha256"] for file in files.values()},
    }
    if isinstance(source, HubFiles):
        return {**said, "name": source.repository, "revision": source.revision}
    return {**said, "credentialed": source.credentialed}


# --- files ---------------------------------------------------------------------------------------


def _read_files(source: LocalFiles | HubFiles, folder: Path) -> dict[str, TextFile]:
    """The file of each split, as required.

    Raises:
        UserError: one is missing, cannot be read, or has another digest than the source or a list
            of digests in the folder says.
    """
    names = source.files.model_dump()
    hint = source.obtain if isinstance(source, LocalFiles) else None
    for name in names.values():
        if not (folder / name).is_file():
            raise UserError(
                f"{folder / name}: no such file; {_one_line(hint or 'allowed: a file')}"
            )
    listed = _listed(folder / SUMS)
    files = {}
    for split, name in names.items():
        file = read_text(folder / name)
        for by, digests in (("the configuration", source.sha256), (SUMS, listed)):
            if name in digests and digests[name] != file.facts["sha256"]:
                raise UserError(
                    f"{file.path}: sha256 {file.facts['sha256']}; allowed by {by}: {digests[name]}"
                )
        files[split] = file
    return files


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _listed(path: Path) -> dict[str, str]:
    """Digests by file, from a list as sha256sum writes it; none if there is no list."""
    if not path.is_file():
        return {}
    digests = {}
    for number, line in enumerate(read_text(path).lines, 1):
        if line.strip():
            match = _SUM.fullmatch(line.strip())
            if not match:
                raise UserError(
                    f"{at(path, number)}: {show(line)}; allowed: digest, two blanks, file"
                )
            digests[match[2]] = match[1].lower()
    return digests


# --- rows ----------------------------------------------------------------------------------------


class _Reader:
    """Turns the records of one file into rows, and counts what it repairs and leaves out."""

    def __init__(
        self, kind: str, split: str, path: Path, labels: Mapping[str, str | None] | None
    ) -> None:
        self._kind, self._split, self._path, self._labels = kind, split, path, labels
        self.counts: Counter[str] = Counter()

    def rows(self, records: Sequence[Record]) -> tuple[list[Row], list[int]]:
        """Rows, and the line of each.

        Raises:
            UserError: a cell that cannot be used.
        """
        rows: list[Row] = []
        lines: list[int] = []
        seen: dict[str, int] = {}
        for index, record in enumerate(records):
            row = self._sentence(record) if self._kind == "ner" else self._pair(record)
            where = at(self._path, record.line)
            id_ = self._name(record, "example_id", where) or f"{self._split}-{index}"
            if id_ in seen:
                raise UserError(
                    f"{where}: example_id {show(id_)} stands on line {seen[id_]} too; "
                    "allowed: each id once, in one piece"
                )
            seen[id_] = record.line
            if row is None:
                continue
            texts = [row["premise"]] if self._kind == "nli" else row["tokens"]
            group = self._name(record, "group_id", where) or _short(" ".join(texts))
            rows.append({"example_id": id_, "group_id": group, **row})
            lines.append(record.line)
        return rows, lines

    def _name(self, record: Record, column: str, where: str) -> str | None:
        """An id of the record's own."""
        if column not in record.cells:
            return None
        return self._text(_plain(record.cells[column]), column, where)

    def _text(self, value: object, column: str, where: str) -> str:
        """A text without white space at its ends."""
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
            raise UserError(f"{where}: {column} has half a surrogate pair; allowed: text") from None
        self.counts["white_space_at_ends"] += text != value
        return text

    def _label(self, value: object, column: str, where: str) -> str | None:
        """What a value of the file is called here; None if its example is to be left out."""
        found = self._text(_plain(value), column, where)
        if self._labels is None:
            return found
        if found not in self._labels:
            allowed = ", ".join(self._labels)
            raise UserError(f"{where}: {column} {show(found)}; allowed by 'labels': {allowed}")
        return self._labels[found]

    def _pair(self, record: Record) -> Row | None:
        where = at(self._path, record.line)
        label = self._label(record.cells["label"], "label", where)
        if label is None:
            self.counts["left_out"] += 1
            return None
        texts = {
            name: self._text(record.cells[name], name, where) for name in ("premise", "hypothesis")
        }
        self.counts["long"] += any(len(text.split()) > LONG for text in texts.values())
        return {**texts, "label": label}

    def _sentence(self, record: Record) -> Row | None:
        where = at(self._path, record.line)
        given = {name: record.cells[name] for name in ("tokens", "tags")}
        for name, values in given.items():
            if not isinstance(values, list):
                raise UserError(f"{where}: {name} is {show(values)}; allowed: a list")
        if len(given["tokens"]) != len(given["tags"]):
            raise UserError(
                f"{where}: {len(given['tokens'])} tokens and {len(given['tags'])} tags; "
                "allowed: one tag a token"
            )
        if not given["tokens"]:
            self.counts["empty_sentences"] += 1
            return None
        places = [at(self._path, line) for line in record.word_lines] or [
            f"{where}, word {number}" for number in range(1, len(given["tokens"]) + 1)
        ]
        tokens = [
            self._text(token, "token", place)
            for token, place in zip(given["tokens"], places, strict=True)
        ]
        tags = []
        for value, place in zip(given["tags"], places, strict=True):
            tag = self._label(value, "tag", place)
            if tag is not None and not _TAG.fullmatch(tag):
                raise UserError(
                    f"{place}: tag {show(tag)}; allowed: O, or B- or I- and a type "
                    "(E-, S-, L-, U- are mapped)"
                )
            tags.append(tag)
        if None in tags:
            self.counts["left_out"] += 1
            return None
        kept, prefixes, repaired = to_iob2([tag for tag in tags if tag is not None])
        self.counts["mapped_prefixes"] += prefixes
        self.counts["repaired_tags"] += repaired
        self.counts["tokens_with_white_space"] += sum(len(token.split()) > 1 for token in tokens)
        self.counts["long"] += len(tokens) > LONG
        return {"tokens": tokens, "tags": kept}


def _plain(value: object) -> object:
    """A whole number as the text that it is in other formats."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _short(text: str) -> str:
    """A short name of a text, the same for texts that differ in case and punctuation alone."""
    return sha256_text(text_key(text) or text)[:16]


# --- labels --------------------------------------------------------------------------------------


def _classes(kind: str, row: Row) -> Iterable[str]:
    """Labels or entity types of a row."""
    if kind == "nli":
        return [row["label"]]
    return [tag[2:] for tag in row["tags"] if tag != "O"]


def _labels(
    kind: str, mapping: Mapping[str, str | None] | None, train: Sequence[Row]
) -> tuple[str, ...]:
    """Labels of the training rows in the order in which models number them.

    That is the order of the file's values (as numbers if all are), or of the alphabet without
    a mapping.
    """
    found = {name for row in train for name in _classes(kind, row)}
    values = sorted(mapping or {}, key=lambda value: (len(value) if value.isdigit() else 0, value))
    named = [label for value in values if (label := (mapping or {})[value]) is not None]
    if kind == "ner":
        named = [label[2:] for label in named]
    order = [name for name in dict.fromkeys([*named, *sorted(found)]) if name in found]
    return tuple(entity_labels(order) if kind == "ner" else order)


def _check_known(
    kind: str, labels: Sequence[str], rows: Sequence[Row], lines: Sequence[int], path: Path
) -> None:
    """Check that a split has no label or type that training has not.

    Raises:
        UserError: it has.
    """
    known = {label.removeprefix("B-") for label in labels}
    what = "label" if kind == "nli" else "entity type"
    for row, line in zip(rows, lines, strict=True):
        for name in _classes(kind, row):
            if name not in known:
                allowed = [
                    label.removeprefix("B-") for label in labels if label[:2] not in ("O", "I-")
                ]
                raise UserError(
                    f"{at(path, line)}: {what} {show(name)} is not in the training file; "
                    f"allowed: {', '.join(allowed)}, or another name in 'labels'"
                )
