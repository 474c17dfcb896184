"""Labelled files as users have them: what is read, repaired and counted."""

import hashlib
import json
from pathlib import Path

import pytest
from labelled_files import EVERYTHING, GOOD, PAIRS, SENTENCES, prepared, read, save

from layerscope.config.tasks import HubFiles, LocalFiles
from layerscope.core.files import read_json
from layerscope.core.formats import file_metadata
from layerscope.data.labelled import read_task
from layerscope.data.prepared import task_kind, write_task
from layerscope.data.schemes import without_ends

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


# --- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nli", "classification"])
@pytest.mark.parametrize("layout", ["csv", "tsv", "jsonl"])
def test_pairs_and_texts_in_every_format(tmp_path, kind, layout):
    rows, report = prepared(tmp_path, kind, layout, GOOD[kind, layout])
    second = ["It is wet.", "It rains."]
    for row in rows:
        del row["group_id"]
    assert [tuple(row.values()) for row in rows] == [
        ("train-0", "It rains.", *(second[:1] if kind == "nli" else ()), "yes"),
        ("train-1", "It is dry.", *(second[1:] if kind == "nli" else ()), "no"),
    ]
    assert report["labels"] == ["no", "yes"]
    assert file_metadata(tmp_path / "out" / "test.parquet", kind)["labels"] == ["no", "yes"]
    assert task_kind(tmp_path / "out" / "test.parquet") == kind


@pytest.mark.parametrize("layout", ["conll", "csv", "tsv", "jsonl"])
def test_sentences_in_every_format(tmp_path, layout):
    rows, report = prepared(tmp_path, "ner", layout, GOOD["ner", layout])
    assert [(row["tokens"], row["tags"]) for row in rows] == [
        (["IL-2", "works"], ["B-gene", "O"]),
        (["No", "HeLa", "cells"], ["O", "B-cell", "I-cell"]),
    ]
    assert report["labels"] == ["O", "B-cell", "I-cell", "B-gene", "I-gene"]
    named = ["a", "b"] if layout in ("csv", "tsv") else ["train-0", "train-1"]
    assert [row["example_id"] for row in rows] == named


def test_the_report_names_each_file(tmp_path):
    _, report = prepared(tmp_path, "nli", "csv", PAIRS, license="CC0", citation="Me, 2024")
    data = PAIRS.encode()
    assert report["files"]["validation"] == {
        "file": "validation.csv",
        "sha256": hashlib.sha256(data).hexdigest(),
        "digest_was_required": False,
        "bytes": len(data),
        "lines": 3,
        "examples": 2,
    }
    assert report["source"]["license"] == "CC0"
    assert report["source"]["citation"] == "Me, 2024"
    assert report["overlap"]["train and test"]["pairs"] == 2


def test_columns_and_labels_are_mapped(tmp_path):
    text = "s1,s2,gold,pair,doc\nA b.,C.,2,x,7\nD.,E.,10,y,7\nF.,G.,-,z,8\n"
    rows, report = prepared(
        tmp_path,
        "nli",
        "csv",
        text,
        columns={
            "premise": "s1",
            "hypothesis": "s2",
            "label": "gold",
            "example_id": "pair",
            "group_id": "doc",
        },
        labels={"10": "entailed", "2": "other", "-": None},
        examples={"train": 3, "validation": 3, "test": 3},
    )
    assert [(row["example_id"], row["group_id"], row["label"]) for row in rows] == [
        ("x", "7", "other"),
        ("y", "7", "entailed"),
    ]
    assert report["labels"] == ["other", "entailed"]  # 2 before 10
    assert report["files"]["train"]["left_out_by_label"] == 1
    assert report["files"]["train"]["examples"] == 3


def test_whole_numbers_of_json_are_labels_tags_and_ids(tmp_path):
    line = {"tokens": ["a", "b"], "tags": [1, 0], "example_id": 5}
    labels = {"0": "O", "1": "B-x"}
    rows, _ = prepared(tmp_path, "ner", "jsonl", json.dumps(line), labels=labels)
    assert rows[0]["tags"] == ["B-x", "O"]
    assert rows[0]["example_id"] == "5"


def test_a_group_is_a_premise_a_text_or_a_sentence_whatever_its_case_and_punctuation(tmp_path):
    text = "premise,hypothesis,label\nIt rains.,a,yes\nit RAINS!,b,no\nIt snows.,c,no\n"
    groups = [row["group_id"] for row in prepared(tmp_path, "nli", "csv", text)[0]]
    assert groups[0] == groups[1] != groups[2]
    text = "text,label\nIt rains.,yes\nit RAINS!,no\nIt snows.,no\n"
    rows, report = prepared(tmp_path, "classification", "csv", text)
    groups = [row["group_id"] for row in rows]
    assert groups[0] == groups[1] != groups[2]
    assert report["splits"]["train"]["distinct_texts"] == {"texts": 2}
    assert report["overlap"]["train and test"] == {"ids": 0, "groups": 2, "texts": 2}
    text = "A\tB-x\n.\tO\n\na\tB-x\n\nb\tO\n"
    groups = [row["group_id"] for row in prepared(tmp_path, "ner", "conll", text)[0]]
    assert groups[0] == groups[1] != groups[2]


def test_conll_columns_are_positions(tmp_path):
    text = "1 IL-2 B-gene NN\n2 works O VB\n"
    columns = {"tokens": 1, "tags": 2}
    rows, _ = prepared(tmp_path, "ner", "conll", text, columns=columns)
    assert (rows[0]["tokens"], rows[0]["tags"]) == (["IL-2", "works"], ["B-gene", "O"])


def test_conll_lines_that_look_like_something_else_are_words(tmp_path):
    text = '# O\n" B-x\n<a> I-x\n, O\n'
    rows, _ = prepared(tmp_path, "ner", "conll", text)
    assert rows[0]["tokens"] == ["#", '"', "<a>", ","]


def test_quotes_in_csv_are_markup_and_in_tsv_text(tmp_path):
    text = 'premise,hypothesis,label\n"He said ""no"",\nand left.",x,yes\nb,c,no\n'
    rows, _ = prepared(tmp_path, "nli", "csv", text)
    assert rows[0]["premise"] == 'He said "no",\nand left.'
    text = 'premise\thypothesis\tlabel\n"He said\tx\tyes\nb\tc\tno\n'
    rows, _ = prepared(tmp_path, "nli", "tsv", text)
    assert rows[0]["premise"] == '"He said'


def test_line_separators_of_unicode_are_no_line_ends(tmp_path):
    pair = '{"premise": "a\u2028b\x85c", "hypothesis": "d", "label": "LABEL"}\n'
    text = pair.replace("LABEL", "yes") + pair.replace("LABEL", "no")
    rows, report = prepared(tmp_path, "nli", "jsonl", text)
    assert [row["premise"] for row in rows] == ["a\u2028b\x85c"] * 2
    assert report["files"]["train"]["lines"] == 2


def test_a_limit_keeps_groups_whole(tmp_path):
    lines = [f"premise {n // 2},hypothesis {n},{'yes' if n % 2 else 'no'}\n" for n in range(40)]
    text = "premise,hypothesis,label\n" + "".join(lines)
    limit = {"train": 10, "validation": None, "test": 7}
    task = read(tmp_path, "nli", "csv", text, limit=limit)
    assert [len(task.splits[split]) for split in EVERYTHING] == [10, 40, 6]
    for split in ("train", "test"):
        groups = [row["group_id"] for row in task.splits[split]]
        assert {groups.count(group) for group in groups} == {2}


def test_files_of_a_hub_are_read_alike(tmp_path):
    (tmp_path / "data").mkdir()
    save(tmp_path / "data", "csv", PAIRS)
    source = HubFiles(
        kind="hub",
        repository="me/pairs",
        revision="0" * 40,
        files={split: f"data/{split}.csv" for split in EVERYTHING},
        format="csv",
    )
    task = read_task("nli", source, tmp_path, EVERYTHING, 1)
    assert len(task.splits["train"]) == 2
    assert task.source["name"] == "me/pairs"
    assert task.source["revision"] == "0" * 40
    assert set(task.source["sha256"]) == {f"data/{split}.csv" for split in EVERYTHING}


# --- what is repaired, left out or noticed, and counted ------------------------------------------


@pytest.mark.parametrize(
    ("tags", "repaired", "changed"),
    [
        ("O B-x I-x O", "O B-x I-x O", 0),
        ("I-x I-x B-x I-x", "I-x I-x B-x I-x", 0),  # IOB1: what begins is seen to later
        ("B-x I-x E-x S-x O", "B-x I-x I-x B-x O", 2),
        ("B-x L-x U-y B-y L-y", "B-x I-x B-y B-y I-y", 3),
        ("S-x E-x O E-x", "B-x B-x O I-x", 3),  # E- after an end begins anew
        ("E-x I-x I-x", "I-x B-x I-x", 2),
        ("S-x I-y", "B-x I-y", 1),
        ("B-E-x I-E-x", "B-E-x I-E-x", 0),
        ("B-x M-x M-x E-x S-x", "B-x I-x I-x I-x B-x", 4),  # BMES
    ],
)
def test_ends_of_entities_are_mapped(tags, repaired, changed):
    assert without_ends(tags.split()) == (repaired.split(), changed)


def test_broken_and_other_schemes_become_iob2(tmp_path):
    text = "a\tI-x\nb\tI-x\nc\tI-y\n\nd\tS-x\ne\tO\nf\tB-y\ng\tE-y\n"
    rows, report = prepared(tmp_path, "ner", "conll", text)
    assert [row["tags"] for row in rows] == [["B-x", "I-x", "B-y"], ["B-x", "O", "B-y", "I-y"]]
    assert report["splits"]["train"]["repaired_tags"] == 2
    assert report["files"]["train"]["mapped_prefixes"] == 2
    assert report["files"]["train"]["tag_scheme"] == "IOBES"


def test_files_of_windows(tmp_path):
    plain, _ = prepared(tmp_path, "nli", "csv", PAIRS)
    for newline in ("\r\n", "\r"):
        data = b"\xef\xbb\xbf" + PAIRS.replace("\n", newline).encode()
        rows, report = prepared(tmp_path, "nli", "csv", data)
        assert rows == plain
        assert report["files"]["train"]["byte_order_marks"] == 1
        assert report["files"]["train"]["other_line_ends"] == 3
        assert report["files"]["train"]["lines"] == 3


def test_white_space_and_blank_lines(tmp_path):
    text = "\n premise ,hypothesis,label\n  It rains. ,a,yes\n\n,,\nb,c,\tno\n"
    rows, report = prepared(tmp_path, "nli", "csv", text)
    assert [(row["premise"], row["label"]) for row in rows] == [("It rains.", "yes"), ("b", "no")]
    assert report["files"]["train"]["blank_lines"] == 3
    assert report["files"]["train"]["white_space_at_ends"] == 1


def test_columns_that_nobody_uses_may_share_a_name(tmp_path):
    text = "premise,hypothesis,label,,\nIt rains.,It is wet.,yes,,\nIt is dry.,It rains.,no,,\n"
    rows, _ = prepared(tmp_path, "nli", "csv", text)
    assert [row["label"] for row in rows] == ["yes", "no"]


def test_characters_without_width_are_kept_and_counted(tmp_path):
    rows, report = prepared(
        tmp_path, "ner", "conll", "a\u200b\tB-x\n\u200b\tO\nsoft\u00adly\tO\nb\tO\n"
    )
    assert rows[0]["tokens"] == ["a\u200b", "\u200b", "soft\u00adly", "b"]
    assert report["files"]["train"]["zero_width_characters"] == 3


def test_tokens_with_white_space_are_kept(tmp_path):
    text = "New York\tB-x\n a \tO\n"
    rows, report = prepared(tmp_path, "ner", "conll", text)
    assert rows[0]["tokens"] == ["New York", "a"]
    assert report["files"]["train"]["tokens_with_white_space"] == 1
    assert report["files"]["train"]["white_space_at_ends"] == 1


def test_combining_marks_and_no_break_spaces_stay_as_they_are(tmp_path):
    """Composed or not, a text is that of its file; a mark alone is a word."""
    text = "cafe\u0301 B-x\n\u0301 O\ncaf\u00e9 O\n5\u00a0mg O\n"
    rows, report = prepared(tmp_path, "ner", "conll", text)
    assert rows[0]["tokens"] == ["cafe\u0301", "\u0301", "caf\u00e9", "5\u00a0mg"]
    assert report["files"]["train"]["tokens_with_white_space"] == 1


def test_empty_sentences_and_document_lines_are_skipped(tmp_path):
    text = "-DOCSTART- -X- O\n\na NN B-x\n\n\n\nb NN O\n-DOCSTART-\n\nc NN O\n\n"
    rows, report = prepared(tmp_path, "ner", "conll", text)
    assert [row["tokens"] for row in rows] == [["a"], ["b"], ["c"]]
    assert report["files"]["train"]["empty_sentences"] == 2
    assert report["files"]["train"]["document_lines"] == 2
    text = '{"tokens": [], "tags": []}\n{"tokens": ["a"], "tags": ["B-x"]}\n'
    rows, report = prepared(tmp_path, "ner", "jsonl", text)
    assert [row["example_id"] for row in rows] == ["train-1"]
    assert report["files"]["train"]["empty_sentences"] == 1


def test_sentences_of_a_document_are_a_group(tmp_path):
    text = "-DOCSTART- O\n\na B-x\n\nb O\n\n###MEDLINE:95369245\nc O\n\nd O\n"
    rows, report = prepared(tmp_path, "ner", "conll", text)
    assert [(row["tokens"], row["group_id"]) for row in rows] == [
        (["a"], "train.conll document 1"),
        (["b"], "train.conll document 1"),
        (["c"], "train.conll document 2"),
        (["d"], "train.conll document 2"),
    ]
    assert report["files"]["train"]["document_lines"] == 2


def test_comments_are_no_words_and_a_word_of_one_hash_is_no_comment(tmp_path):
    text = (
        "# global.columns = ID FORM\n#\n# sent_id = a 1\n"
        "IL-2\tB-gene\n# text = b\n#\tO\n#tag\tO\n\n# two words more\nb\tO\n"
    )
    rows, report = prepared(tmp_path, "ner", "conll", text)
    assert [row["tokens"] for row in rows] == [["IL-2", "#", "#tag"], ["b"]]
    assert report["files"]["train"]["comment_lines"] == 5


def test_a_tag_that_leaves_its_sentence_out(tmp_path):
    labels = {"B-gene": "B-gene", "O": "O", "B-cell": None, "I-cell": None}
    rows, report = prepared(tmp_path, "ner", "conll", SENTENCES, labels=labels)
    assert [row["example_id"] for row in rows] == ["train-0"]
    assert report["files"]["train"]["left_out_by_label"] == 1
    assert report["labels"] == ["O", "B-gene", "I-gene"]


def test_a_sentence_of_5000_words_is_kept_and_counted(tmp_path):
    text = "word\tO\n" * 4999 + "end\tB-x\n\nword\tO\n"
    rows, report = prepared(tmp_path, "ner", "conll", text)
    assert [len(row["tokens"]) for row in rows] == [5000, 1]
    assert report["files"]["train"]["long"] == 1
    assert report["splits"]["train"]["words_per_example"]["max"] == 5000


def test_duplicates_are_kept_and_counted(tmp_path):
    other = "premise,hypothesis,label\nIt  RAINS,it is wet,yes\nx,y,no\n"
    double = f"{PAIRS}It rains.,It is wet.,yes\n"
    rows, report = prepared(tmp_path, "nli", "csv", double, PAIRS, other)
    assert len(rows) == 3
    assert report["splits"]["train"]["duplicates"] == 1
    assert report["overlap"]["train and validation"]["pairs"] == 2
    assert report["overlap"]["train and test"]["pairs"] == 1


# --- real data -----------------------------------------------------------------------------------

needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data beside the checkout")


@needs_data
@pytest.mark.slow
def test_jnlpba(tmp_path):
    """Counts as README of the data and Collier and Kim (2004) give them."""
    folder = SHARED / "jnlpba" / "dataset"
    numbers = json.loads((folder / "label.json").read_text())
    source = LocalFiles(
        kind="files",
        files={"train": "train.json", "validation": "valid.json", "test": "test.json"},
        format="jsonl",
        labels={str(number): tag for tag, number in numbers.items()},
        examples={"train": 16619, "validation": 1927, "test": 3856},
        sha256={"test.json": "68aa7c1b7add9c723cea9c3d6eb4141c9b75966fc9c621244424d89a46cab44a"},
    )
    write_task(tmp_path, read_task("ner", source, folder, EVERYTHING, 1))
    report = read_json(tmp_path / "report.json")
    assert report["labels"] == sorted(numbers, key=numbers.get)
    found = {split: described["entities"] for split, described in report["splits"].items()}
    assert found["test"] == {
        "protein": 5067,
        "DNA": 1056,
        "cell_type": 1921,
        "cell_line": 500,
        "RNA": 118,
    }
    assert found["train"]["protein"] == 27240
    assert found["validation"]["DNA"] == 1260
    assert report["splits"]["test"]["words_per_example"]["max"] == 208


@needs_data
def test_scifact(tmp_path):
    folder = SHARED / "scifact_nli"
    source = LocalFiles(
        kind="files",
        files={split: f"{split}.jsonl" for split in EVERYTHING},
        format="jsonl",
        columns={"premise": "sentence1", "hypothesis": "sentence2", "label": "gold_label"},
        examples={"train": 1549, "validation": 269, "test": 355},
    )
    write_task(tmp_path, read_task("nli", source, folder, EVERYTHING, 1))
    report = read_json(tmp_path / "report.json")
    assert report["labels"] == ["contradiction", "entailment", "neutral"]
    majority = max(report["splits"]["test"]["labels"].values()) / 355
    assert round(majority, 3) == 0.473
    assert report["overlap"]["train and test"]["pairs"] == 0
