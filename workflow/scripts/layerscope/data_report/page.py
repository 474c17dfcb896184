"""The page: sections from the report, the tables and the tokenizers; one file, no scripts."""

from __future__ import annotations

import copy
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import pyarrow as pa

from layerscope.core.kinds import TaskKind, labels_examples
from layerscope.core.pages import origin_elements
from layerscope.data.iob import entity_labels
from layerscope.data.prepared import SPLITS
from layerscope.data_report import counts
from layerscope.data_report.elements import Line, Markup, bullets, paragraph, table
from layerscope.data_report.examples import SHOWN, chosen, rendered
from layerscope.data_report.lengths import (
    Reader,
    Spread,
    SubWords,
    count_words,
    measure,
    rows_of,
    spread,
)

Report = dict[str, Any]

KINDS: dict[TaskKind, str] = {
    "nli": "natural language inference",
    "classification": "classification of texts",
    "ner": "named entity recognition",
}
_USES = ("fine-tuning", "activations")
#: What is done with an example that is longer than a model reads.
_LONG: dict[TaskKind, str] = {
    "classification": "A text over the limit loses sub-words at its end: it is cut.",
    "nli": "A pair over the limit loses sub-words at the end of its longer text: it is cut.",
    "ner": "A sentence over the limit is read in several windows of whole words: nothing is lost. "
    "Of a word that is longer than a window, only the first sub-words are read: it is cut.",
}


@dataclass(frozen=True)
class Described:
    """What the page is made from.

    Attributes:
        study: its name.
        task: its name.
        report: `report.json` of the prepared task.
        tables: prepared tables by split.
        readers: models of the study that read the data alike, by their names.
        withheld: whether no example may be shown, whatever the report says of its source.
    """

    study: str
    task: str
    report: Report
    tables: Mapping[str, pa.Table]
    readers: Mapping[str, Reader]
    withheld: bool = False


def page(data: Described) -> str:
    """The whole page."""
    report = copy.deepcopy(data.report)
    kind, labels = counts.take(report, "kind"), counts.take(report, "labels", default=[])
    withheld = data.withheld or bool(report.get("source", {}).get("credentialed"))
    lead = _lead(kind, report)
    caveats = counts.take(report, "caveats", default=[])
    none = paragraph("None are recorded for this source.", "quiet")
    seed = report.get("seed", 0)
    sections = {
        "Source": counts.origin(report),
        "Examples and labels": _labels(kind, labels, report, data.tables),
        "Lengths": _words(kind, report, data.tables) + _sub_words(kind, data),
        "Cut, converted, repaired and left out": counts.path_to_tables(report),
        "Duplicates and overlap": counts.repeated(report),
        "Caveats": bullets(caveats) if caveats else none,
        "Examples of the training data": _examples(kind, labels, seed, data, withheld),
    }
    report.pop("seed", None)
    sections |= (
        {"Further entries of report.json": found} if (found := counts.further(report)) else {}
    )
    anchors = {title: f"s{number}" for number, title in enumerate(sections, start=1)}
    return Template(_read("page.html")).substitute(
        origin=origin_elements(),
        study=html.escape(data.study),
        task=html.escape(data.task),
        style=_read("page.css"),
        lead=html.escape(lead),
        contents="".join(f'<li><a href="#{a}">{t}</a></li>' for t, a in anchors.items()),
        sections="".join(
            f'<section aria-labelledby="{anchors[title]}"><h2 id="{anchors[title]}">{title}</h2>\n'
            f"{body}</section>\n"
            for title, body in sections.items()
        ),
    )


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _lead(kind: TaskKind, report: Report) -> str:
    train, validation, test = (report["splits"][split]["examples"] for split in SPLITS)
    return (
        f"{KINDS[kind].capitalize()}: {train:,} training, {validation:,} validation and {test:,} "
        "test examples, as the study reads them."
    )


def _labels(
    kind: TaskKind, labels: Sequence[str], report: Report, tables: Mapping[str, pa.Table]
) -> str:
    examples = [report["splits"][split]["examples"] for split in SPLITS]
    lines = [Line("Examples", examples), Line("Groups", counts.by_split(report, "groups"))]
    if not labels_examples(kind):
        without = [
            sum(all(tag == "O" for tag in row["tags"]) for row in rows_of(tables[split]))
            for split in SPLITS
        ]
        lines.append(Line("Sentences without an entity", without))
    sizes = table("Examples by split", ("", *SPLITS), lines)
    note = paragraph("A group is what samples and intervals keep together.", "quiet")
    if labels_examples(kind):
        return sizes + note + _frequencies("Examples by label", "labels", labels, report)
    types = _types(labels)
    found = _frequencies("Entities by type", "entities", types, report)
    return sizes + note + found + _frequencies("Words by tag", "tags", labels, report)


def _types(labels: Sequence[str]) -> list[str]:
    """Entity types of IOB2 tags."""
    types = list(dict.fromkeys(tag[2:] for tag in labels if tag != "O"))
    return types if entity_labels(types) else []


def _frequencies(caption: str, entry: str, names: Sequence[str], report: Report) -> str:
    """How often each label occurs in each split, and in per cent."""
    found: list[Mapping[str, int]] = counts.by_split(report, entry, default={})
    totals = [sum(own.values()) for own in found]
    others = {name for own in found for name in own} - set(names)
    lines = [
        Line(name, [_of(own.get(name, 0), total) for own, total in zip(found, totals, strict=True)])
        for name in (*names, *sorted(others))
    ]
    return table(caption, ("", *SPLITS), [*lines, Line("all", totals)])


def _of(count: int, total: int) -> Markup:
    part = f' <span class="part">({100 * count / total:.1f} %)</span>' if total else ""
    return Markup(f"{count:,}{part}")


def _words(kind: TaskKind, report: Report, tables: Mapping[str, pa.Table]) -> str:
    columns = {
        split: [count_words(kind, row) for row in rows_of(tables[split])] for split in SPLITS
    }
    spreads = [spread(lengths) for lengths in columns.values()]
    per_example = counts.by_split(report, "words_per_example", default={})
    lines = [
        Line("All words", counts.by_split(report, "words")),
        Line("Shortest example", [own.get("min") for own in per_example]),
        *_spread_lines(spreads),
        Line("Mean", [own.get("mean") for own in per_example]),
    ]
    return table("Words of an example", ("", *SPLITS), lines)


def _spread_lines(spreads: Sequence[Spread]) -> list[Line]:
    return [
        Line("Median", [each.median for each in spreads]),
        Line("95 % have at most", [each.most for each in spreads]),
        Line("Longest example", [each.longest for each in spreads]),
    ]


def _sub_words(kind: TaskKind, data: Described) -> str:
    words = {split: data.report["splits"][split]["words"] for split in SPLITS}
    found = {
        names: {split: measure(kind, data.tables[split], reader) for split in SPLITS}
        for names, reader in data.readers.items()
    }
    is_cut = any(own.cut_words.total() for splits in found.values() for own in splits.values())
    lines: list[Line] = []
    for names, splits in found.items():
        uses = data.readers[names].uses
        limits = ", ".join(f"{uses[use].limit:,} in {use}" for use in _USES)
        lines.append(Line(f"{names} (limit {limits})"))
        lines += [
            Line(split, _measured(own, words[split], is_cut)) for split, own in splits.items()
        ]
    over = [f"Over limit, {use}" for use in _USES] + is_cut * [f"Words cut, {use}" for use in _USES]
    columns = ("Split", "Median", "95 % at most", "Longest", *over, "Per word")
    note = f"Special tokens are counted, except in sub-words per word. {_LONG[kind]}"
    if not (labels_examples(kind) or is_cut):
        note += " Here none is."
    return table("Sub-words of an example, by model", columns, lines) + paragraph(note, "quiet")


def _measured(found: SubWords, words: int, with_cut: bool) -> list[object]:
    over = [found.long[use] for use in _USES]
    cut = [found.cut_words[use] for use in _USES] if with_cut else []
    return [*spread(found.lengths), *over, *cut, f"{found.own / words:.2f}"]


def _examples(
    kind: TaskKind, labels: Sequence[str], seed: int, data: Described, withheld: bool
) -> str:
    if withheld:
        return paragraph(
            "No example is shown: the data is under an agreement, and its texts stay in the "
            "prepared tables, for those who have signed it."
        )
    rows = chosen(kind, data.tables["train"], seed)
    note = f"Up to {SHOWN}, drawn with seed {seed} so that labels occur as often as in the data."
    return paragraph(note, "quiet") + rendered(kind, rows, _types(labels))
