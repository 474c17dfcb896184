"""Prepared tasks: validation, the canonical tables of the splits, and the report beside them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from layerscope.core.errors import UserError
from layerscope.core.files import write_json
from layerscope.core.formats import file_metadata, write_table
from layerscope.core.kinds import KINDS, labels_examples, text_columns
from layerscope.data.iob import repair_iob2, spans, validate
from layerscope.data.text import text_key

SPLITS = ("train", "validation", "test")

Row = dict[str, Any]

#: What the report calls the texts in a column.
_PLURALS = {"premise": "premises", "hypothesis": "hypotheses", "text": "texts"}


@dataclass(frozen=True)
class PreparedTask:
    """A labelled data set, ready to be written."""

    kind: str
    labels: tuple[str, ...]  # in the order in which models number them
    splits: Mapping[str, Sequence[Row]]  # rows of the kind
    source: Mapping[str, Any]  # name, release, license, citation
    facts: Mapping[str, Any]  # whatever else the report is to say
    caveats: Sequence[str]


def write_task(folder: str | Path, task: PreparedTask) -> None:
    """Validate a task and write `{split}.parquet` and `report.json`.

    Tags that break IOB2 are repaired, and counted in the report.

    Raises:
        UserError: a row is not valid; see `checked_rows`.
    """
    folder = Path(folder)
    checked, repaired = {}, {}
    for split in SPLITS:
        checked[split], repaired[split] = checked_rows(
            task.kind, task.splits[split], task.labels, split
        )
    metadata = {"labels": list(task.labels), **task.source}
    for split in SPLITS:
        write_table(folder / f"{split}.parquet", task.kind, checked[split], metadata)
    report = {
        "kind": task.kind,
        "source": dict(task.source),
        "labels": list(task.labels),
        **task.facts,
        "caveats": list(task.caveats),
        "splits": {
            split: {**describe(task.kind, rows), "repaired_tags": repaired[split]}
            for split, rows in checked.items()
        },
        "overlap": overlap(task.kind, checked),
    }
    write_json(folder / "report.json", report)


def checked_rows(
    kind: str, rows: Sequence[Row], labels: Sequence[str], split: str
) -> tuple[list[Row], int]:
    """Check the rows of a split, with IOB2 repaired.

    Returns:
        The rows, and the number of tags that were repaired.

    Raises:
        UserError: no rows, an id twice, an empty text or token, an unknown label, tokens and
            tags of different number, or no entity at all.
    """
    if not rows:
        raise UserError(f"split '{split}': 0 examples; allowed: 1 or more")
    seen: set[str] = set()
    known = dict.fromkeys(labels)
    checked, repaired = [], 0
    for row in rows:
        where = f"split '{split}', example {row['example_id']!r}"
        if row["example_id"] in seen:
            raise UserError(f"{where}: occurs twice; allowed: each id once")
        seen.add(row["example_id"])
        if labels_examples(kind):
            for name in text_columns(kind):
                if not row[name].strip():
                    raise UserError(f"{where}: {name} is empty; allowed: text")
            if row["label"] not in known:
                raise UserError(f"{where}: label {row['label']!r}; allowed: {', '.join(labels)}")
        else:
            tokens, tags = row["tokens"], row["tags"]
            if not tokens or not all(token.strip() for token in tokens):
                raise UserError(f"{where}: an empty token or none; allowed: tokens with text")
            if len(tokens) != len(tags):
                raise UserError(
                    f"{where}: {len(tags)} tags for {len(tokens)} tokens; allowed: one each"
                )
            tags, changed = repair_iob2(tags)
            validate(tags, known, where)
            repaired += changed
            row = {**row, "tags": tags}
        checked.append(row)
    if kind == "ner" and all(tag == "O" for row in checked for tag in row["tags"]):
        raise UserError(
            f"split '{split}': no entity in {len(checked)} sentences, so that every score would be "
            "0; allowed: a file with its tags, and a limit that leaves sentences with entities"
        )
    return checked, repaired


def text_keys(kind: str, row: Row) -> dict[str, str]:
    """The texts of an example by what they are, as keys to compare by."""
    if labels_examples(kind):
        texts = {_PLURALS[name]: row[name] for name in text_columns(kind)}
    else:
        texts = {"sentences": " ".join(row["tokens"])}
    return {name: text_key(text) or text for name, text in texts.items()}  # or: symbols alone


def _words(kind: str, row: Row) -> int:
    if labels_examples(kind):
        return sum(len(row[name].split()) for name in text_columns(kind))
    return len(row["tokens"])


def describe(kind: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Counts of one split for the report.

    Words are tokens (NER), or white-space words of all of an example's texts. A duplicate is an
    example whose texts all are those of an earlier one. `most_uses` is how often the most frequent
    text of each sort occurs.
    """
    texts = [text_keys(kind, row) for row in rows]
    lengths = [_words(kind, row) for row in rows]
    uses = {name: Counter(text[name] for text in texts) for name in texts[0]}
    described = {
        "examples": len(rows),
        "groups": len({row["group_id"] for row in rows}),
        "duplicates": len(rows) - len({tuple(text.values()) for text in texts}),
        "distinct_texts": {name: len(counts) for name, counts in uses.items()},
        "most_uses": {name: max(counts.values()) for name, counts in uses.items()},
        "words": sum(lengths),
        "words_per_example": {
            "min": min(lengths),
            "median": statistics.median(lengths),
            "mean": round(statistics.fmean(lengths), 2),
            "max": max(lengths),
        },
    }
    if labels_examples(kind):
        return {**described, "labels": dict(Counter(row["label"] for row in rows))}
    return {
        **described,
        "entities": dict(Counter(entity[2] for row in rows for entity in spans(row["tags"]))),
        "tags": dict(Counter(tag for row in rows for tag in row["tags"])),
    }


def overlap(kind: str, splits: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, int]]:
    """How many ids, distinct groups and texts each two splits share; texts by `text_key`.

    A pair is shared (`pairs`) if both of its texts together are.
    """
    held: dict[str, dict[str, set[str]]] = {}
    for split, rows in splits.items():
        sets = {
            "ids": {row["example_id"] for row in rows},
            "groups": {row["group_id"] for row in rows},
        }
        for row in rows:
            texts = text_keys(kind, row)
            for name, key in texts.items():
                sets.setdefault(name, set()).add(key)
            if len(texts) > 1:
                sets.setdefault("pairs", set()).add("\n".join(texts.values()))
        held[split] = sets
    return {
        f"{one} and {other}": {name: len(held[one][name] & held[other][name]) for name in held[one]}
        for one, other in combinations(splits, 2)
    }


def task_kind(path: str | Path) -> str:
    """The kind of task that a prepared table is of.

    Raises:
        UserError: the file is no prepared table.
    """
    for kind in KINDS[:-1]:
        try:
            file_metadata(path, kind)
        except UserError:
            continue
        return kind
    file_metadata(path, KINDS[-1])
    return KINDS[-1]
