"""Labelled data from files: what they have to be is checked first, then they are read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.config.base import TaskKind
from layerscope.config.tasks import HubFiles, LocalFiles
from layerscope.core.errors import UserError, show
from layerscope.data.examples import read_records
from layerscope.data.iob import entity_labels
from layerscope.data.prepared import SPLITS, PreparedTask, Row
from layerscope.data.rows import Rows, make_rows
from layerscope.data.sampling import limited
from layerscope.data.textfile import TextFile, at, read_text

SUMS = "SHA256SUMS.txt"  # a list of digests that PhysioNet, for one, puts beside its files

#: What files of probes' answers can number.
MOST_LABELS = 2**15 - 1

_SUM = re.compile(r"([0-9a-fA-F]{64}) +\*?(?:\./)?(.+)")


def read_task(
    kind: TaskKind,
    source: LocalFiles | HubFiles,
    folder: Path,
    limit: Mapping[str, int | None],
    seed: int,
) -> PreparedTask:
    """Read a task from its files.

    Args:
        kind: `nli` or `ner`.
        source: files, format, columns, labels, and what the files have to be.
        folder: where the files lie.
        limit: the most examples of each split; whole groups are chosen, stratified.
        seed: of that choice.

    Raises:
        UserError: a file is missing or not what the source requires, a line cannot be read, or
            validation or test has a label that training has not.
    """
    names = source.files.model_dump()
    required = _required(source, folder)
    files = _read_files(source, folder, required)
    read: dict[str, Rows] = {}
    facts: dict[str, Any] = {}
    for split, file in files.items():
        records, skipped = read_records(file, source.format, kind, source.columns)
        expected = getattr(source.examples, split) if source.examples else None
        if expected is not None and len(records) != expected:
            raise UserError(f"{file.path}: {len(records)} examples; allowed: {expected}")
        read[split] = make_rows(kind, split, file.path, records, source.labels)
        if not read[split].rows:
            raise UserError(f"{file.path}: no example; allowed: one or more")
        facts[split] = {
            "file": names[split],
            **file.facts,
            "digest_was_required": any(names[split] in digests for digests in required.values()),
            "examples": len(records),
            **file.repaired,
            **skipped,
            **read[split].counts,
        }
    labels = _labels(kind, source.labels, read["train"].rows, files["train"].path)
    for split in SPLITS[1:]:
        _check_known(kind, labels, read[split], files[split].path)
    return PreparedTask(
        kind=kind,
        labels=labels,
        splits={
            split: limited(kind, read[split].rows, limit[split], seed, split) for split in SPLITS
        },
        source=_provenance(source, {names[split]: file for split, file in files.items()}),
        facts={
            "seed": seed,
            "limit": dict(limit),
            "available": {split: len(read[split].rows) for split in SPLITS},
            "files": facts,
        },
        caveats=(),
    )


def _provenance(source: LocalFiles | HubFiles, files: Mapping[str, TextFile]) -> dict[str, Any]:
    said = {
        "license": source.license,
        "citation": source.citation,
        "sha256": {name: file.facts["sha256"] for name, file in files.items()},
    }
    if isinstance(source, HubFiles):
        return {"name": source.repository, "revision": source.revision, **said}
    return {"name": "files", "credentialed": source.credentialed, **said}


# --- files ---------------------------------------------------------------------------------------


Digests = dict[str, str]  # by file


def _read_files(
    source: LocalFiles | HubFiles, folder: Path, required: Mapping[str, Digests]
) -> dict[str, TextFile]:
    """The file of each split.

    Raises:
        UserError: one is missing, cannot be read, or has another digest than is required.
    """
    names = source.files.model_dump()
    obtain = source.obtain if isinstance(source, LocalFiles) else None
    for name in names.values():
        if not os.path.isfile(folder / name):  # Path's own raises where it may not look
            hint = " ".join((obtain or "allowed: a file that can be read").split())
            raise UserError(f"{os.path.abspath(folder / name)}: no such file; {hint}")
    files = {split: read_text(folder / name) for split, name in names.items()}
    for split, file in files.items():
        for by, digests in required.items():
            found, wanted = file.facts["sha256"], digests.get(names[split])
            if wanted not in (None, found):
                raise UserError(f"{file.path}: sha256 {found}; allowed by {by}: {wanted}")
    return files


def _required(source: LocalFiles | HubFiles, folder: Path) -> dict[str, Digests]:
    """Digests that files have to have, by who says so: the source, and a list in the folder.

    Raises:
        UserError: a line of the list that is no digest and file.
    """
    listed: Digests = {}
    path = folder / SUMS
    for number, line in enumerate(read_text(path).lines if os.path.isfile(path) else [], 1):
        if line.strip():
            match = _SUM.fullmatch(line.strip())
            if not match:
                raise UserError(f"{at(path, number)}: {show(line)}; allowed: a digest and a file")
            listed[match[2]] = match[1].lower()
    return {"the configuration": source.sha256, SUMS: listed}


# --- labels --------------------------------------------------------------------------------------


def _classes(kind: TaskKind, row: Row) -> Iterable[str]:
    """Label, or entity types, of a row."""
    if kind == "nli":
        return [row["label"]]
    return [tag[2:] for tag in row["tags"] if tag != "O"]


def _labels(
    kind: TaskKind, mapping: Mapping[str, str | None] | None, train: Sequence[Row], path: Path
) -> tuple[str, ...]:
    """Labels of the training rows, in the order in which models number them.

    That is the order of the file's values, as numbers or in the alphabet. (The order in the
    configuration has no meaning, here as everywhere.)

    Raises:
        UserError: fewer than two labels, no entity, or more labels than can be numbered.
    """
    found = {name for row in train for name in _classes(kind, row)}
    if len(found) < (2 if kind == "nli" else 1):
        what = "labels" if kind == "nli" else "entity types"
        least = "two or more" if kind == "nli" else "one or more"
        raise UserError(f"{path}: {what}: {', '.join(found) or 'none'}; allowed: {least}")
    named = mapping or {}
    values = sorted(named, key=lambda value: (len(value) if value.isdigit() else 0, value))
    order = [label for value in values if (label := named[value]) is not None]
    if kind == "ner":
        order = [label[2:] for label in order]
    known = [name for name in dict.fromkeys([*order, *sorted(found)]) if name in found]
    labels = tuple(entity_labels(known) if kind == "ner" else known)
    if len(labels) > MOST_LABELS:
        raise UserError(
            f"{path}: {len(labels):,} labels, tags of entities counted each; allowed: at most "
            f"{MOST_LABELS:,}"
        )
    return labels


def _check_known(kind: TaskKind, labels: Sequence[str], read: Rows, path: Path) -> None:
    """Check that a split has no label or type that training has not.

    Raises:
        UserError: it has.
    """
    if kind == "ner":
        labels = [label[2:] for label in labels if label.startswith("B-")]
    what, known = "label" if kind == "nli" else "entity type", set(labels)
    for row, line in zip(read.rows, read.lines, strict=True):
        for name in _classes(kind, row):
            if name not in known:
                raise UserError(
                    f"{at(path, line)}: {what} {show(name)} is not in the training file; "
                    f"allowed: {', '.join(labels)}, or a mapping in 'labels'"
                )
