"""What the report of a prepared task counts, in sections with plain phrases.

Each section takes its entries out of the report. What nothing has a phrase for is shown under the
name that it has there, so that no count is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from layerscope.data.prepared import SPLITS
from layerscope.data_report.elements import Line, Markup, code, described, paragraph, table

Report = dict[str, Any]

#: What happened on the way from the files to the tables: in `files`, by split.
_LEFT_OUT = {
    "left_out_by_label": "Examples left out because `labels` maps their label or tag to null",
    "empty_sentences": "Sentences without a word, skipped",
    "blank_lines": "Blank lines, skipped",
    "comment_lines": "Lines with comments, skipped",
    "document_lines": "Lines that begin a document, skipped; its sentences are one group",
}
_CHANGED = {
    "white_space_at_ends": "Texts or words with white space at an end, which was removed",
    "mapped_prefixes": "Tags of other schemes (E-, L-, M-, S-, U-) that became B- or I-",
    "named_classes": "Numbers of classes that became the names that the file gives them",
    "other_line_ends": "Line ends of Windows or old Macs that became plain ones",
    "byte_order_marks": "Byte order marks, removed",
}
_NOTICED = {
    "tokens_with_white_space": "Words that contain white space, kept as one word",
    "zero_width_characters": "Texts or words with characters of no width, kept",
    "long": "Texts or sentences of more than 500 words, kept",
}
_OF_FILES = ("file", "sha256", "bytes", "lines", "rows", "digest_was_required")
_SHARED = {
    "ids": "example ids",
    "groups": "groups",
    "sentences": "sentences",
    "premises": "premises",
    "hypotheses": "hypotheses",
    "pairs": "whole examples",
}
_SOURCE = {
    "name": "Source",
    "repository": "Repository",
    "revision": "Revision",
    "release": "Release",
    "license": "License",
    "citation": "Citation",
}
_TOGETHER = {
    "names": "Names that entities are found by",
    "names_of_several_types": "Names that belong to several types and were given one",
}


def take(report: Report, *path: str, default: Any = None) -> Any:
    """An entry of a report, which is without it afterwards."""
    *folders, name = path
    for each in folders:
        report = report.get(each) or {}
    return report.pop(name, default)


def by_split(report: Report, *path: str, default: Any = 0) -> list[Any]:
    """An entry that each split has below `splits`."""
    return [take(report, "splits", split, *path, default=default) for split in SPLITS]


def origin(report: Report) -> str:
    """Where the data comes from: source, license, citation and files."""
    source = take(report, "source", default={})
    digests = source.pop("sha256", {})
    if source.get("name") == "files":
        source["name"] = "local files"
    credentialed = source.pop("credentialed", False)
    entries: dict[str, object] = {
        phrase: source.pop(name, None)
        for name, phrase in _SOURCE.items()
        if name in source or name in ("license", "citation")
    }
    if credentialed:
        entries["Agreement"] = "needed to read this data (credentialed)"
    entries |= {name: value for name, value in source.items() if value is not None}
    if isinstance(digests, str):
        entries["SHA-256"] = code(digests)
    entries["Seed"] = report.get("seed")
    return described(entries) + _files(report)


def _files(report: Report) -> str:
    lines = []
    for split in SPLITS:
        own = (report.get("files") or {}).get(split) or {}
        for file in own.pop("files", None) or [own]:
            told = {name: file.pop(name, None) for name in _OF_FILES if name in file}
            if told:
                held = told.get("lines", told.get("rows"))
                required = "as required" if told.get("digest_was_required") else "not required"
                digest = Markup(f"{code(told.get('sha256'))} ({required})")
                lines.append(
                    Line(code(told.get("file", split)), [split, digest, told.get("bytes"), held])
                )
    if not lines:
        return ""
    columns = ("File", "Split", "SHA-256", "Bytes", "Lines or rows")
    return table("Files that the splits were read from", columns, lines, text=2)


def path_to_tables(report: Report) -> str:
    """How the examples of the files became those of the tables, and what was changed in them."""
    files = [(report.get("files") or {}).get(split) or {} for split in SPLITS]
    taken = [take(report, "left_out_by_overlap", split, default=0) for split in SPLITS]
    held_out = take(report, "held_out", default={})
    limits = [take(report, "limit", split) for split in SPLITS]
    available = [take(report, "available", split) for split in SPLITS]
    lines = _counts(files, {"examples": "Examples in the files"})
    lines += _counts(files, _LEFT_OUT)
    if any(taken):
        lines.append(Line("Examples left out because a later split has them (drop_overlap)", taken))
    lines.append(Line("Examples available", available))
    if any(limits):
        lines.append(Line("Limit of the configuration", [each or "none" for each in limits]))
    lines.append(Line("Examples in the tables", by_split(report, "examples")))
    passed = table("From the source to the tables", ("", *SPLITS), lines)
    schemes = [own.pop("tag_scheme", "none") for own in files]
    lines = _counts(files, _CHANGED)
    if any(repaired := by_split(report, "repaired_tags")):
        lines.append(Line("Tags I- that continued nothing and became B-", repaired))
    lines += _counts(files, _NOTICED)
    names = sorted({name for own in files for name in own})
    lines += _counts(files, {name: code(name) for name in names})
    if set(schemes) != {"none"}:
        lines.insert(0, Line("Scheme of the tags in the files", schemes))
    notes = ""
    if held_out:
        parts = " and ".join(f"{percent} % for {split}" for split, percent in held_out.items())
        notes += paragraph(f"Held out of the training files, by whole groups: {parts}.")
    if facts := {
        phrase: take(report, name) for name, phrase in _TOGETHER.items() if name in report
    }:
        notes += described(facts)
    changed = paragraph("Nothing was converted, repaired or noticed.", "quiet")
    if lines:
        changed = table("Converted, repaired and noticed", ("", *SPLITS), lines)
        changed += paragraph("What is not listed did not occur.", "quiet")
    return passed + notes + changed


def _counts(files: Sequence[Report], phrases: Mapping[str, object]) -> list[Line]:
    """Rows of counts that at least one split has; who has none counts 0."""
    found = []
    for name, phrase in phrases.items():
        counts = [own.pop(name, 0) for own in files]
        if any(counts):
            found.append(Line(_with_code(phrase), counts))
    return found


def _with_code(phrase: object) -> object:
    """A phrase in which names of settings stand as such."""
    if isinstance(phrase, Markup) or "`" not in str(phrase):
        return phrase
    before, name, after = str(phrase).split("`")
    return Markup(f"{before}{code(name)}{after}")


def repeated(report: Report) -> str:
    """Duplicates within splits, and what splits share."""
    lines = [Line("Examples that repeat an earlier one", by_split(report, "duplicates"))]
    uses = by_split(report, "most_uses", default={})
    texts = by_split(report, "distinct_texts", default={})
    for name in texts[0]:
        lines.append(Line(f"Distinct {name}", [own.get(name) for own in texts]))
        lines.append(Line(f"Most uses of one of the {name}", [own.get(name) for own in uses]))
    within = table("Duplicates within a split", ("", *SPLITS), lines)
    shared = take(report, "overlap", default={})
    there = {name for counts in shared.values() for name in counts}
    names = [name for name in _SHARED if name in there] + sorted(there - _SHARED.keys())
    lines = [
        Line(f"Shared {_SHARED.get(name, name)}", [each.get(name, 0) for each in shared.values()])
        for name in names
    ]
    note = "Texts count as the same if they differ only in capitals, punctuation or white space."
    between = table("Shared by two splits", ("", *shared), lines)
    return within + between + paragraph(note, "quiet")


def further(report: Report) -> str:
    """Entries that nothing has a phrase for, under their names in the report."""
    lines = [Line(code(name), [str(value)]) for name, value in _flat(report)]
    return table("Further entries", ("Entry", "Value"), lines, text=1) if lines else ""


def _flat(report: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(report, Mapping):
        for name in sorted(report):
            yield from _flat(report[name], f"{prefix}.{name}" if prefix else name)
    elif report not in (None, []):
        yield prefix, report
