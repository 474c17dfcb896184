"""Labelled data from files: what they have to be is checked first, then they are read."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import Any, NamedTuple

from layerscope.config.tasks import HubDataset, InFiles, LocalFiles
from layerscope.core.errors import UserError, show
from layerscope.core.files import read_json_object, sha256_file
from layerscope.core.kinds import TaskKind, labels_examples
from layerscope.core.wording import few
from layerscope.data.examples import Record, read_records
from layerscope.data.held_out import hold_out, without_overlap
from layerscope.data.iob import entity_labels
from layerscope.data.prepared import SPLITS, PreparedTask, Row
from layerscope.data.rows import Rows, make_rows
from layerscope.data.sampling import limited
from layerscope.data.schemes import scheme_of
from layerscope.data.tabular import read_columns
from layerscope.data.textfile import at, read_text

SUMS = "SHA256SUMS.txt"  # a list of digests that PhysioNet, for one, puts beside its files

#: What files of probes' answers can number.
MOST_LABELS = 2**15 - 1

_PART = re.compile(r"-(\d{5})-of-(\d{5})(?=\.)")
_SUM = re.compile(r"([0-9a-fA-F]{64}) +\*?(?:\./)?(.+)")


def read_task(
    kind: TaskKind,
    source: InFiles,
    folder: Path,
    limit: Mapping[str, int | None],
    seed: int,
) -> PreparedTask:
    """Read a task from its files.

    Args:
        kind: of the task.
        source: files, format, columns, labels, and what the files have to be.
        folder: where the files lie.
        limit: the most examples of each split; whole groups are chosen, stratified.
        seed: of that choice.

    Raises:
        UserError: a file is missing or not what the source requires, a line cannot be read, or
            validation or test has a label that training has not.
    """
    read, facts = _read_splits(kind, source, folder)
    digests = {
        file["file"]: file["sha256"]
        for told in facts.values()
        for file in told.get("files", [told])
    }
    made: dict[str, Any] = {}
    if source.held_out:
        made["held_out"] = source.held_out.model_dump(exclude_none=True)
        read |= hold_out(kind, read["train"], made["held_out"], seed)
    if source.drop_overlap:
        whole = read
        read = without_overlap(kind, read, source.drop_overlap)
        made["left_out_by_overlap"] = {
            split: len(whole[split].rows) - len(read[split].rows) for split in SPLITS
        }
    given = [name for name in ("held_out", "drop_overlap") if getattr(source, name)]
    labels = _labels(kind, source.labels, read["train"].rows, folder / next(iter(digests)))
    left = f" that {' and '.join(given)} leave" if given else ""
    for split in SPLITS[1:]:
        _check_known(kind, labels, read[split], left)
    return PreparedTask(
        kind=kind,
        labels=labels,
        splits={
            split: limited(kind, read[split].rows, limit[split], seed, split) for split in SPLITS
        },
        source=_provenance(source, digests),
        facts={
            "seed": seed,
            "limit": dict(limit),
            "available": {split: len(read[split].rows) for split in SPLITS},
            **made,
            "files": facts,
        },
        caveats=(),
    )


def _read_splits(
    kind: TaskKind, source: InFiles, folder: Path
) -> tuple[dict[str, Rows], dict[str, dict[str, Any]]]:
    """Rows of each split that has files, and what the report says of the files.

    Raises:
        UserError: as of `read_task`.
    """
    required = _required(source, folder)
    files = _files_of(source, folder)
    for name in source.sha256:
        if not any(name in own for own in files.values()):
            raise UserError(
                f"{folder / name}: source.sha256 names it, but no split has it; allowed: "
                f"{few([name for own in files.values() for name in own], 10)}"
            )
    read: dict[str, Rows] = {}
    named: dict[str, bool] = {}  # whether a file has groups of its own
    facts: dict[str, dict[str, Any]] = {}
    for split, names in files.items():
        parts = [_read_file(kind, source, folder, required, name) for name in names]
        records = [record for part in parts for record in part.records]
        where = str(folder / names[0]) if len(names) == 1 else f"{split} ({few(names)})"
        expected = getattr(source.examples, split) if source.examples else None
        if expected is not None and len(records) != expected:
            raise UserError(f"{where}: {len(records)} examples; allowed: {expected}")
        read[split] = make_rows(kind, split, records, source.labels)
        named |= {str(own[0].path): _has_group(own) for own, *_ in parts if own}
        if not read[split].rows:
            raise UserError(f"{where}: no example; allowed: one or more")
        told = [{"file": name, **part.facts} for name, part in zip(names, parts, strict=True)]
        facts[split] = {
            **(told[0] if len(told) == 1 else {"files": told}),
            "examples": len(records),
            **({"tag_scheme": scheme_of(read[split].prefixes)} if kind == "ner" else {}),
            **sum((part.counts for part in parts), Counter(read[split].counts)),
        }
    if source.drop_overlap == "groups" and len(set(named.values())) > 1:
        has, lacks = (next(path for path in named if named[path] is own) for own in (True, False))
        raise UserError(
            f"{lacks}: no column 'group_id', which {has} has; allowed with drop_overlap groups: in "
            "every file, or in none"
        )
    return read, facts


def _has_group(records: Sequence[Record]) -> bool:
    return any("group_id" in record.cells for record in records)


def _provenance(source: InFiles, digests: Mapping[str, str]) -> dict[str, Any]:
    said = {"license": source.license, "citation": source.citation, "sha256": dict(digests)}
    if not isinstance(source, LocalFiles):
        return {"name": source.repository, "revision": source.revision, **said}
    return {"name": "files", "credentialed": source.credentialed, **said}


# --- files ---------------------------------------------------------------------------------------


Digests = dict[str, str]  # by file


class _Part(NamedTuple):
    """What one file of a split gives."""

    records: list[Record]
    counts: Counter[str]  # what was skipped and repaired, and how often
    facts: dict[str, Any]  # digest and size of the file


def _files_of(source: InFiles, folder: Path) -> dict[str, list[str]]:
    """Names of the files of each split.

    Raises:
        UserError: one is missing, a pattern matches nothing, or a file is in two splits.
    """
    if isinstance(source, HubDataset):
        fetched: dict[str, list[str]] = _fetched(folder)["splits"]
        return fetched
    found = source.files.found_in(folder)
    obtain = source.obtain if isinstance(source, LocalFiles) else None
    splits: dict[str, str] = {}
    for split, names in found.items():
        for name in names:
            if not os.path.isfile(folder / name):  # Path's own raises where it may not look
                hint = " ".join((obtain or "allowed: a file that can be read").split())
                what = "no file matches" if has_magic(name) else "no such file"
                raise UserError(f"{os.path.abspath(folder / name)}: {what}; {hint}")
            if name in splits:
                raise UserError(
                    f"{folder / name}: matches files.{splits[name]} and files.{split}; "
                    "allowed: each file in one split"
                )
            splits[name] = split
        if any(map(has_magic, source.files.by_split()[split])):
            _require_parts(folder, split, names)
    return found


def _require_parts(folder: Path, split: str, names: Sequence[str]) -> None:
    """Stop where a pattern finds some parts of a file, whose names say how many there are.

    Raises:
        UserError: it does.
    """
    parts: dict[tuple[str, int], set[int]] = {}
    for name in names:
        if match := _PART.search(name):
            key = (name[: match.start()], int(match[2]))
            parts.setdefault(key, set()).add(int(match[1]))
    for (stem, count), found in parts.items():
        lacking = sorted(set(range(count)) - found)
        if lacking:
            raise UserError(
                f"{folder / stem}: files.{split} finds {len(found)} of {count} parts, not "
                f"{few([f'{number:05d}' for number in lacking])}; allowed: all parts, or a list of "
                "names"
            )


def _fetched(folder: Path) -> dict[str, Any]:
    """What fetching a data set noted of it: files of each split, and names of classes.

    Raises:
        UserError: the folder was fetched as something else.
    """
    noted = read_json_object(folder / "source.json")
    if not {"splits", "classes"} <= noted.keys():
        raise UserError(
            f"{folder}: not fetched as a data set; allowed: the folder removed, to fetch it again"
        )
    return noted


def _read_file(
    kind: TaskKind,
    source: InFiles,
    folder: Path,
    required: Mapping[str, Digests],
    name: str,
) -> _Part:
    """The examples of a file.

    Raises:
        UserError: it cannot be read, or has another digest than is required.
    """
    path = folder / name
    wanted = {by: digests[name] for by, digests in required.items() if name in digests}

    def check(digest: object) -> None:
        for by, expected in wanted.items():
            if expected != digest:
                raise UserError(f"{path}: sha256 {digest}; allowed by {by}: {expected}")

    if source.format in ("parquet", "arrow"):
        check(sha256_file(path) if wanted else None)
        classes = _fetched(folder)["classes"] if isinstance(source, HubDataset) else {}
        records, counts, facts = read_columns(path, source.format, kind, source.columns, classes)
    else:
        file = read_text(path)
        check(file.facts["sha256"])
        records, skipped = read_records(file, source.format, kind, source.columns)
        if source.format == "conll":  # documents of two files are two
            records = [_in_file(record, name) for record in records]
        counts, facts = Counter(file.repaired) + skipped, file.facts
    return _Part(records, counts, {**facts, "digest_was_required": bool(wanted)})


def _in_file(record: Record, name: str) -> Record:
    """A sentence whose document, if it has one, is that of a file."""
    group = record.cells.get("group_id")
    cells = {**record.cells, "group_id": f"{name} {group}"} if group else record.cells
    return replace(record, cells=cells)


def _required(source: InFiles, folder: Path) -> dict[str, Digests]:
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
    if labels_examples(kind):
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
    one_each = labels_examples(kind)
    if len(found) < (2 if one_each else 1):
        what = "labels" if one_each else "entity types"
        least = "two or more" if one_each else "one or more"
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


def _check_known(kind: TaskKind, labels: Sequence[str], read: Rows, left: str) -> None:
    """Check that a split has no label or type that training has not.

    Args:
        kind: of the task.
        labels: of the training data.
        read: of another split.
        left: words on what the training data is without.

    Raises:
        UserError: it has.
    """
    if kind == "ner":
        labels = [label[2:] for label in labels if label.startswith("B-")]
    what, known = "label" if labels_examples(kind) else "entity type", set(labels)
    for row, place in zip(read.rows, read.places, strict=True):
        for name in _classes(kind, row):
            if name not in known:
                raise UserError(
                    f"{place}: {what} {show(name)} is not in the training data{left}; "
                    f"allowed: {', '.join(labels)}, or a mapping in 'labels'"
                )
