"""The page on a task's data: its numbers are those of the data, and no text can break it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from labelled_files import prepared
from tiny_models import POSITIONS, TEXTS, Tiny
from transformers import AutoTokenizer

from layerscope.core.files import read_json
from layerscope.core.formats import read_table
from layerscope.core.lineage import Origin, marked, running
from layerscope.data.prepared import SPLITS, PreparedTask, write_task
from layerscope.data_report.examples import rendered
from layerscope.data_report.lengths import readers
from layerscope.data_report.page import Described, page

EVIL = "</td><script>alert('&amp;')</script>"
LIMIT = 14
VOID = {"meta"}
Report = dict[str, Any]


class Seen(HTMLParser):
    """What a page has: tables by caption, texts of elements, and which elements stand where."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, dict[str, list[str]]] = {}
        self.captions: list[str] = []
        self.group = self.row = self.text = ""
        self.cells: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.group = ""
        if tag == "tr":
            self.row, self.cells = "", []
        if tag in ("caption", "th", "td"):
            self.text = ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag  # nested as it should be
        if tag == "caption":
            self.captions.append(self.text)
            self.tables[self.text] = {}
        elif tag == "th":
            self.row = self.text
        elif tag == "td":
            self.cells.append(self.text)
        elif tag == "tr" and "tbody" in self.open:
            if self.cells:
                self.tables[self.captions[-1]][f"{self.group}{self.row}"] = self.cells
            else:
                self.group = f"{self.row}: "

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def described(
    folder: Path, kind: str, splits: dict[str, list[Report]], labels: tuple[str, ...], **source: Any
) -> Described:
    """A prepared task, as the program reads it, without models."""
    write_task(
        folder,
        PreparedTask(
            kind, labels, splits, {"name": "files", "sha256": {}, **source}, {"seed": 3}, ()
        ),
    )
    tables = {split: read_table(folder / f"{split}.parquet", kind) for split in SPLITS}
    return Described("s", "t", read_json(folder / "report.json"), tables, {})


def sentences(*texts: str) -> list[Report]:
    """Sentences in which each second word is an entity."""
    return [
        {
            "example_id": f"e{number}",
            "group_id": f"g{number}",
            "tokens": text.split(),
            "tags": ["B-thing" if place % 2 else "O" for place in range(len(text.split()))],
        }
        for number, text in enumerate(texts)
    ]


def pairs(*texts: tuple[str, str]) -> list[Report]:
    return [
        {
            "example_id": f"e{number}",
            "group_id": f"g{number}",
            "premise": premise,
            "hypothesis": hypothesis,
            "label": ("yes", "no")[number % 2],
        }
        for number, (premise, hypothesis) in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def ner(tmp_path_factory: pytest.TempPathFactory) -> Described:
    splits = {split: sentences(*TEXTS[start:]) for start, split in enumerate(SPLITS)}
    labels = ("O", "B-thing", "I-thing")
    return described(tmp_path_factory.mktemp("ner"), "ner", splits, labels)


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> Described:
    both = list(pairwise(TEXTS))
    splits = {split: pairs(*both[start:]) for start, split in enumerate(SPLITS)}
    return described(tmp_path_factory.mktemp("nli"), "nli", splits, ("yes", "no"))


def read_by(data: Described, tiny: Tiny, views: list[str], fine_tuning: int = LIMIT) -> Described:
    """The same with a model."""
    model = {"tokenizer": "own", "architecture": tiny.architecture, "fine_tuning": fine_tuning}
    settings = {"views": views, "activations": 10 * POSITIONS, "models": {"m": model}}
    return replace(data, readers=readers(settings, {"own": str(tiny.folder)}))


# --- numbers -------------------------------------------------------------------------------------


def test_sub_words_are_those_of_the_model_s_own_tokenizer(ner: Described, encoder: Tiny) -> None:
    tokenizer = AutoTokenizer.from_pretrained(encoder.folder)
    tables = Seen(page(read_by(ner, encoder, ["word"]))).tables
    found = tables["Sub-words of an example, by model"]
    for split in SPLITS:
        tokens = ner.tables[split].column("tokens").to_pylist()
        encoded = tokenizer(tokens, is_split_into_words=True)["input_ids"]
        lengths = sorted(map(len, encoded))
        middle = len(lengths) // 2
        median = (lengths[middle] + lengths[~middle]) / 2
        own = sum(lengths) - 2 * len(lengths)
        row = found[f"m (limit {LIMIT} in fine-tuning, {POSITIONS} in activations): {split}"]
        assert [float(cell) for cell in row] == [
            *(median, lengths[-1], lengths[-1]),  # of so few, the longest is the 95th percentile
            sum(length > LIMIT for length in lengths),
            sum(length > POSITIONS for length in lengths),
            round(own / sum(map(len, tokens)), 2),
        ]
    assert "0" not in [row[3] for row in found.values()]


def test_words_longer_than_a_window_are_counted(ner: Described, encoder: Tiny) -> None:
    """With room for two sub-words."""
    tokenizer = AutoTokenizer.from_pretrained(encoder.folder)
    tables = Seen(page(read_by(ner, encoder, ["word"], fine_tuning=4))).tables
    for name, row in tables["Sub-words of an example, by model"].items():
        tokens = ner.tables[name.split(": ")[1]].column("tokens").to_pylist()
        words = [word for own in tokens for word in own]
        encoded = tokenizer(words, add_special_tokens=False)["input_ids"]
        assert row[-3:-1] == [str(sum(len(ids) > 2 for ids in encoded)), "0"]


@pytest.mark.parametrize("views", [["joint"], ["separate", "joint"], ["separate"]])
def test_pairs_are_measured_as_they_are_read(
    views: list[str], nli: Described, encoder: Tiny
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(encoder.folder)
    limits = {"own": {"tokenizer": "own", "architecture": "encoder", "fine_tuning": 20}}
    settings = {"views": views, "activations": LIMIT, "models": limits}
    data = replace(nli, readers=readers(settings, {"own": str(encoder.folder)}))
    for name, row in Seen(page(data)).tables["Sub-words of an example, by model"].items():
        columns = nli.tables[name.split(": ")[1]].to_pydict()
        texts = columns["premise"], columns["hypothesis"]
        whole = [len(ids) for ids in tokenizer(*texts)["input_ids"]]
        alone = [
            max(map(len, ids))
            for ids in zip(*(tokenizer(each)["input_ids"] for each in texts), strict=True)
        ]
        long = [
            ("joint" in views and both > LIMIT) or ("separate" in views and one > LIMIT)
            for both, one in zip(whole, alone, strict=True)
        ]
        assert int(row[2]) == max(whole)
        assert row[3:5] == [str(sum(length > 20 for length in whole)), str(sum(long))]


def test_models_that_read_alike_are_measured_once(encoder: Tiny, decoder: Tiny) -> None:
    """A tokenizer read as by an encoder and as by a decoder is two."""
    as_one = {"tokenizer": "e", "architecture": "encoder", "fine_tuning": 9}
    models = {"b": as_one, "a": as_one, "c": {**as_one, "fine_tuning": 8}}
    models["d"] = {"tokenizer": "d", "architecture": "decoder", "fine_tuning": 9}
    settings = {"views": ["word"], "activations": 9, "models": models}
    folders = {"e": str(encoder.folder), "d": str(decoder.folder)}
    assert list(readers(settings, folders)) == ["a, b", "c", "d"]


def leaves(report: Any) -> Iterator[tuple[Any, Any]]:
    """Each number of a report: what holds it, and its key."""
    for key, value in report.items():
        if isinstance(value, dict):
            yield from leaves(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield report, key


def test_every_count_of_the_report_is_on_the_page(tmp_path: Path) -> None:
    """Also those that nothing has a phrase for. Each is given a number of its own."""
    text = "\ufeffIL-2\tS-gene\r\nworks \tO\r\n\r\nNo\tO\nHeLa\tI-cell\ncells\tI-cell\n\n# a = b\n"
    _, report = prepared(tmp_path, "ner", "conll", text, drop_overlap=None)
    report["files"]["train"] |= {"left_out_by_label": 1, "another_count": 1}
    report |= {"names": 1, "left_out_by_overlap": {"train": 1, "validation": 0, "test": 0}}
    report |= {"new": {"inner": 1}, "held_out": {"test": 1}}
    report["splits"]["test"]["new_of_split"] = 1
    number = count(70_001, 7)
    planted = {}
    for holder, key in leaves(report):
        if key not in ("min", "max", "mean"):
            planted[next(number)] = (holder, key)
    for value, (holder, key) in planted.items():
        holder[key] = value
    tables = {s: read_table(tmp_path / "out" / f"{s}.parquet", "ner") for s in SPLITS}
    shown = page(Described("s", "t", report, tables, {}))
    missing = [
        key for value, (_, key) in planted.items() if not re.search(f"{value:,}|{value}", shown)
    ]
    assert missing == []
    seen = Seen(shown).tables
    changed = seen["Converted, repaired and noticed"]
    assert changed["another_count"][1:] == ["0", "0"]
    assert {"new.inner", "splits.test.new_of_split"} == set(seen["Further entries"])
    assert list(seen)[-1] == "Further entries"


def test_a_text_with_a_label_is_shown_and_measured(tmp_path: Path, encoder: Tiny) -> None:
    rows = [
        {"example_id": f"e{n}", "group_id": f"g{n}", "text": text, "label": ("b", "a")[n % 2]}
        for n, text in enumerate(TEXTS)
    ]
    data = described(tmp_path, "classification", dict.fromkeys(SPLITS, rows), ("a", "b"))
    text = page(read_by(data, encoder, ["text"], fine_tuning=5))
    tokenizer = AutoTokenizer.from_pretrained(encoder.folder)
    lengths = [len(tokenizer(text)["input_ids"]) for text in TEXTS]
    found = Seen(text).tables["Sub-words of an example, by model"]
    row = found[f"m (limit 5 in fine-tuning, {POSITIONS} in activations): test"]
    assert [int(float(cell)) for cell in row[2:4]] == [
        max(lengths),
        sum(length > 5 for length in lengths),
    ]
    assert html.escape(TEXTS[0]) in text


def test_lengths_in_words_are_those_of_the_report(ner: Described, nli: Described) -> None:
    for data in (ner, nli):
        found = Seen(page(data)).tables["Words of an example"]
        told = [data.report["splits"][split]["words_per_example"] for split in SPLITS]
        names = {"Median": "median", "Longest example": "max", "Shortest example": "min"}
        for row, name in names.items():
            assert [float(cell) for cell in found[row]] == [own[name] for own in told]


# --- examples ------------------------------------------------------------------------------------


def test_entities_are_marked_by_colour_and_label() -> None:
    row = {
        "example_id": "a-1",
        "tokens": ["The", "IL-2", "receptor", "binds", "<5", "%"],
        "tags": ["O", "B-gene", "I-gene", "O", "B-a&b", "B-gene"],
    }
    assert rendered("ner", [row], ["a&b", "gene"]) == (
        '<ol class="examples">\n<li><p dir="auto">The '
        '<mark class="c1">IL-2 receptor <b>gene</b></mark> binds '
        '<mark class="c0">&lt;5 <b>a&amp;b</b></mark> '
        '<mark class="c1">% <b>gene</b></mark></p>'
        '<p class="quiet"><code>a-1</code></p></li>\n</ol>\n'
    )


def test_examples_are_drawn_by_seed_and_label(tmp_path: Path) -> None:
    """As often as in the data: of 30 with one label and 10 with the other, 7 or 8 and 2 or 3."""
    rows = pairs(*((f"premise {n}", f"hypothesis {n}") for n in range(40)))
    for row in rows:
        row["label"] = "no" if int(row["example_id"][1:]) % 4 == 0 else "yes"
    data = described(tmp_path, "nli", dict.fromkeys(SPLITS, rows), ("yes", "no"))

    def drawn(seed: int) -> list[str]:
        return re.findall(
            r"<code>(e\d+)</code>", page(replace(data, report=data.report | {"seed": seed}))
        )

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(3)}) == 3
    for seed in range(3):
        numbers = [int(name[1:]) for name in drawn(seed)]
        assert len(set(numbers)) == 10
        assert sum(number % 4 == 0 for number in numbers) in (2, 3)


def test_a_long_text_is_shown_in_part(tmp_path: Path) -> None:
    rows = pairs(("word " * 250, "short"), ("short", "word " * 201))
    text = page(described(tmp_path, "nli", dict.fromkeys(SPLITS, rows), ("yes", "no")))
    assert "… and 50 more words" in text
    assert "… and 1 more word<" in text


@pytest.mark.parametrize("said_by", ["report", "configuration"])
def test_texts_under_an_agreement_stay_in_the_tables(said_by: str, tmp_path: Path) -> None:
    rows = pairs(("Secret premise.", "Secret hypothesis."), ("Secret other.", "Secret last."))
    told = {"credentialed": True} if said_by == "report" else {}
    data = described(tmp_path, "nli", dict.fromkeys(SPLITS, rows), ("yes", "no"), **told)
    text = page(replace(data, withheld=said_by == "configuration"))
    assert "Secret" not in text
    assert "e0" not in re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL)
    assert "No example is shown" in text
    assert "Secret premise." in page(
        described(tmp_path, "nli", dict.fromkeys(SPLITS, rows), ("yes", "no"))
    )


# --- the page ------------------------------------------------------------------------------------


def evil_sentences(tmp_path: Path) -> Described:
    rows = sentences(*TEXTS)
    rows[0] |= {"tokens": [EVIL], "tags": [f"B-{EVIL}"], "example_id": EVIL}
    labels = ("O", "B-thing", "I-thing", f"B-{EVIL}", f"I-{EVIL}")
    told = {"license": EVIL, "citation": EVIL, "other": EVIL}
    return described(tmp_path, "ner", dict.fromkeys(SPLITS, rows), labels, **told)


def evil_pairs(tmp_path: Path) -> Described:
    rows = pairs(*[(EVIL, EVIL)] * 2)
    for row in rows:
        row["label"] = f"{row['label']}{EVIL}"
    labels = tuple(row["label"] for row in rows)
    return described(tmp_path, "nli", dict.fromkeys(SPLITS, rows), labels)


@pytest.mark.parametrize("make", [evil_sentences, evil_pairs])
def test_no_text_or_name_can_break_the_page(
    make: Callable[[Path], Described], tmp_path: Path
) -> None:
    data = make(tmp_path)
    report = json.loads(json.dumps(data.report)) | {EVIL: EVIL, "caveats": [EVIL]}
    report["files"] = {"train": {"file": EVIL, "sha256": EVIL, EVIL: 1}}
    text = page(replace(data, study=EVIL, task=EVIL, report=report))
    assert "<script" not in text
    assert "alert(&#x27;&amp;amp;&#x27;)" in text
    assert Seen(text).named("script") == []


def test_the_page_is_accessible_and_loads_nothing(ner: Described, encoder: Tiny) -> None:
    origin = Origin("0" * 64, "made by a test")
    with running(origin):
        text = page(read_by(ner, encoder, ["word"]))
    seen = Seen(text)
    assert marked(text.encode()) == origin.lineage
    headings = [tag for tag, _ in seen.tags if re.fullmatch(r"h\d", tag)]
    assert headings[0] == "h1"
    assert set(headings[1:]) == {"h2"}
    assert len(seen.captions) == len(set(seen.captions)) == len(seen.named("table"))
    assert all("scope" in attributes for attributes in seen.named("th"))
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert [attributes["href"] for attributes in seen.named("a")] == [f"#{id_}" for id_ in ids]
    assert seen.named("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in seen.named(
        "meta"
    )
    policy = [each["content"] for each in seen.named("meta") if "http-equiv" in each]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert not re.search(r"url\(|@import|\ssrc=", text)
