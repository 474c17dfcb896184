"""Labelled files as users have them: what is read, repaired and counted, and refused."""

import csv
import hashlib
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.config.base import Invalid
from layerscope.config.tasks import HubFiles, LocalFiles, check_source
from layerscope.core.errors import UserError
from layerscope.core.files import read_json
from layerscope.core.formats import file_metadata, read_table
from layerscope.data.examples import read_records
from layerscope.data.labelled import read_task
from layerscope.data.prepared import write_task
from layerscope.data.schemes import without_ends
from layerscope.data.textfile import TextFile, read_text

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
EVERYTHING = {"train": None, "validation": None, "test": None}
PAIRS = "premise,hypothesis,label\nIt rains.,It is wet.,yes\nIt is dry.,It rains.,no\n"
SENTENCES = "IL-2\tB-gene\nworks\tO\n\nNo\tO\nHeLa\tB-cell\ncells\tI-cell\n"
#: A good file of each kind and format.
GOOD = {
    ("nli", "csv"): PAIRS,
    ("nli", "tsv"): PAIRS.replace(",", "\t"),
    ("nli", "jsonl"): '{"premise": "It rains.", "hypothesis": "It is wet.", "label": "yes"}\n'
    '{"premise": "It is dry.", "hypothesis": "It rains.", "label": "no"}\n',
    ("ner", "conll"): SENTENCES,
    ("ner", "jsonl"): '{"tokens": ["IL-2", "works"], "tags": ["B-gene", "O"]}\n'
    '{"tokens": ["No", "HeLa", "cells"], "tags": ["O", "B-cell", "I-cell"]}\n',
    ("ner", "csv"): "example_id,tokens,tags\na,IL-2,B-gene\na,works,O\n"
    "b,No,O\nb,HeLa,B-cell\nb,cells,I-cell\n",
    ("ner", "tsv"): "example_id\ttokens\ttags\na\tIL-2\tB-gene\na\tworks\tO\n"
    "b\tNo\tO\nb\tHeLa\tB-cell\nb\tcells\tI-cell\n",
}


def save(folder, layout, *texts):
    """Files of training, validation and test; what is left out is as the one before."""
    texts = [*texts, *[texts[-1]] * (3 - len(texts))]
    names = {}
    for split, text in zip(EVERYTHING, texts, strict=True):
        names[split] = f"{split}.{layout}"
        data = text if isinstance(text, bytes) else text.encode()
        (folder / names[split]).write_bytes(data)
    return names


def read(folder, kind, layout, *texts, limit=EVERYTHING, **options):
    files = save(folder, layout, *texts)
    source = LocalFiles(kind="files", files=files, format=layout, **options)
    check_source(kind, source)
    return read_task(kind, source, folder, limit, 1)


def prepared(folder, kind, layout, *texts, **options):
    """Rows of the training table, and the report."""
    write_task(folder / "out", read(folder, kind, layout, *texts, **options))
    rows = read_table(folder / "out" / "train.parquet", kind).to_pylist()
    return rows, read_json(folder / "out" / "report.json")


# --- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["csv", "tsv", "jsonl"])
def test_pairs_in_every_format(tmp_path, layout):
    rows, report = prepared(tmp_path, "nli", layout, GOOD["nli", layout])
    for row in rows:
        del row["group_id"]
    assert [tuple(row.values()) for row in rows] == [
        ("train-0", "It rains.", "It is wet.", "yes"),
        ("train-1", "It is dry.", "It rains.", "no"),
    ]
    assert report["labels"] == ["no", "yes"]
    assert file_metadata(tmp_path / "out" / "test.parquet", "nli")["labels"] == ["no", "yes"]


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


def test_a_group_is_a_premise_or_a_sentence_whatever_its_case_and_punctuation(tmp_path):
    text = "premise,hypothesis,label\nIt rains.,a,yes\nit RAINS!,b,no\nIt snows.,c,no\n"
    groups = [row["group_id"] for row in prepared(tmp_path, "nli", "csv", text)[0]]
    assert groups[0] == groups[1] != groups[2]
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


def test_tokens_with_white_space_are_kept(tmp_path):
    text = "New York\tB-x\n a \tO\n"
    rows, report = prepared(tmp_path, "ner", "conll", text)
    assert rows[0]["tokens"] == ["New York", "a"]
    assert report["files"]["train"]["tokens_with_white_space"] == 1
    assert report["files"]["train"]["white_space_at_ends"] == 1


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


# --- what is refused: one line with file and line number -----------------------------------------

HEAD = "premise,hypothesis,label\n"
JSON = '{"premise": "a", "hypothesis": "b", "label": "yes"}\n'
TAGGED = '{"tokens": ["a", "b"], "tags": ["O", "B-x"]}\n'

REFUSED = {
    "bad JSON": ("nli", "jsonl", JSON + '{"premise": "a",\n', "line 2: not JSON"),
    "a JSON list": ("nli", "jsonl", "[1]\n", "line 1: [1]; allowed: one JSON object a line"),
    "JSON too deep": ("nli", "jsonl", "[" * 100000 + "\n", "line 1: not JSON"),
    "a long number": ("nli", "jsonl", '{"a": ' + "1" * 5000 + "}\n", "line 1: not JSON"),
    "no such column": (
        "nli",
        "jsonl",
        '{"text": "a", "hypothesis": "b", "label": "c"}\n',
        "line 1: no column 'premise' (for premise); found: text, hypothesis, label",
    ),
    "a column that goes": (
        "nli",
        "jsonl",
        JSON + '{"premise": "a", "label": "c"}\n',
        "line 2: no column 'hypothesis'",
    ),
    "a header without a column": (
        "nli",
        "csv",
        "premise,label\na,b\n",
        "line 1: no column 'hypothesis'",
    ),
    "another separator": ("nli", "csv", HEAD.replace(",", ";"), "found: premise;hypothesis;label"),
    "a column twice": (
        "nli",
        "csv",
        "premise,label,label\n",
        "line 1: column 'label' stands twice",
    ),
    "no sentence id": ("ner", "csv", "tokens,tags\na,O\n", "line 1: no column 'example_id'"),
    "a text that is none": (
        "nli",
        "jsonl",
        JSON.replace('"a"', "3.5"),
        "line 1: premise is 3.5; allowed: text",
    ),
    "a text that is null": (
        "nli",
        "jsonl",
        JSON.replace('"b"', "null"),
        "line 1: hypothesis is None",
    ),
    "a label that is none": (
        "nli",
        "jsonl",
        JSON.replace('"yes"', "true"),
        "line 1: label is True",
    ),
    "tokens in one text": (
        "ner",
        "jsonl",
        '{"tokens": "a b", "tags": ["O", "O"]}\n',
        "line 1: tokens is 'a b'; allowed: a list",
    ),
    "a token that is none": (
        "ner",
        "jsonl",
        TAGGED.replace('"b"', "7"),
        "line 1, word 2: token is 7",
    ),
    "a ragged row": ("nli", "csv", HEAD + "a,b,c\na,b\n", "line 3: 2 cells; allowed: 3"),
    "a comma too many": ("nli", "csv", HEAD + "a, too,b,c\n", "line 2: 4 cells; allowed: 3"),
    "a ragged row below cells of several lines": (
        "nli",
        "csv",
        HEAD + '"a\n\nb",c,d\ne\n',
        "line 5: 1 cells",
    ),
    "a quote that never ends": (
        "nli",
        "csv",
        HEAD + 'a,b,c\n"a,b,c\nd,e,f\n',
        "line 3: unexpected end of data",
    ),
    "a ragged CoNLL line": ("ner", "conll", "a\tO\n\nb\tO\tx\n", "line 3: 3 columns; allowed: 2"),
    "a word without a tag": ("ner", "conll", "a O\nb\n", "line 2: 1 columns; allowed: 2"),
    "words alone": ("ner", "conll", "a\nb\n", "line 1: 1 columns; allowed: "),
    "an unknown label": (
        "nli",
        "csv",
        HEAD + "a,b,yes\nc,d,maybe\n",
        "line 3: label 'maybe'; allowed by 'labels': yes, no",
    ),
    "fewer tags than tokens": (
        "ner",
        "jsonl",
        TAGGED + '{"tokens": ["a"], "tags": []}\n',
        "line 2: 1 tokens and 0 tags",
    ),
    "an empty text": ("nli", "csv", HEAD + 'a,b,yes\n"  ",b,no\n', "line 3: premise is empty"),
    "an empty token": ("ner", "conll", "a\tB-x\n\tO\n", "line 2: token is empty"),
    "an empty token in JSON": (
        "ner",
        "jsonl",
        TAGGED.replace('"b"', '" "'),
        "line 1, word 2: token is empty",
    ),
    "an empty id": ("ner", "csv", "example_id,tokens,tags\n,a,O\n", "line 2: example_id is empty"),
    "Latin-1": (
        "nli",
        "csv",
        (HEAD + "a,b,yes\ncafé,b,no\n").encode("latin-1"),
        f"line 3: byte 0xe9 at {len(HEAD) + 11} is not UTF-8",
    ),
    "UTF-16": ("nli", "csv", PAIRS.encode("utf-16"), "line 1: byte 0xff at 0 is not UTF-8"),
    "NUL": ("ner", "conll", "a\tO\nb\0\tO\n", "line 2: a NUL character"),
    "UTF-16 without its mark": ("nli", "csv", PAIRS.encode("utf-16-le"), "line 1: a NUL character"),
    "an escaped NUL": (
        "nli",
        "jsonl",
        JSON.replace('"a"', '"a\\u0000"'),
        "line 1: premise has a NUL character",
    ),
    "half a surrogate pair": (
        "nli",
        "jsonl",
        JSON.replace('"a"', '"\\ud83d"'),
        "line 1: premise has half a surrogate pair",
    ),
    "a tag without prefix": (
        "ner",
        "conll",
        "a\tO\nb\tgene\n",
        "line 2: tag 'gene'; allowed: O, or a type after B- or I-",
    ),
    "a tag without type": ("ner", "conll", "a\tO\nb\tB-\n", "line 2: tag 'B-'"),
    "a small letter": ("ner", "jsonl", TAGGED.replace("B-x", "b-x"), "line 1, word 2: tag 'b-x'"),
    "an unknown tag": (
        "ner",
        "csv",
        "example_id,tokens,tags\nq,a,O\nq,b,B-z\n",
        "line 3: tag 'B-z'; allowed by 'labels'",
    ),
    "an id twice": (
        "ner",
        "csv",
        "example_id,tokens,tags\nq,a,O\nr,b,O\nq,b,O\n",
        "line 4: example_id 'q' is that of line 2 too",
    ),
    "an empty file": ("nli", "csv", "", "no example; allowed: one or more"),
    "a header alone": ("nli", "tsv", HEAD.replace(",", "\t"), "no example"),
    "blank lines alone": ("ner", "conll", "\n\n\n", "no example"),
    "one label alone": (
        "nli",
        "csv",
        HEAD + "a,b,yes\nc,d,yes\n",
        "labels: yes; allowed: two or more",
    ),
    "no entity": ("ner", "conll", "a\tO\n", "entity types: none; allowed: one or more"),
}
LABELS = {
    "an unknown label": {"yes": "yes", "no": "no"},
    "an unknown tag": {"O": "O", "B-x": "B-x"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_one_line_with_file_and_line(tmp_path, case):
    kind, layout, text, said = REFUSED[case]
    with pytest.raises(UserError) as error:
        read(tmp_path, kind, layout, text, GOOD[kind, layout], labels=LABELS.get(case))
    message = str(error.value)
    assert said in message
    assert message.startswith(str(tmp_path / f"train.{layout}"))
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(("kind", "layout"), GOOD)
def test_a_label_that_training_has_not(tmp_path, kind, layout):
    good = GOOD[kind, layout]
    other = good.replace("no", "maybe") if kind == "nli" else good.replace("-cell", "-organ")
    with pytest.raises(UserError) as error:
        read(tmp_path, kind, layout, good, good, other)
    line = {"csv": 3, "tsv": 3, "jsonl": 2}[layout] if kind == "nli" else None
    line = line or {"csv": 4, "tsv": 4, "jsonl": 2, "conll": 4}[layout]
    what = "label 'maybe'" if kind == "nli" else "entity type 'organ'"
    allowed = "no, yes" if kind == "nli" else "cell, gene"
    assert str(error.value) == (
        f"{tmp_path / f'test.{layout}'} line {line}: {what} is not in the training file; "
        f"allowed: {allowed}, or to be mapped in 'labels'"
    )


# --- what the files have to be -------------------------------------------------------------------


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_digest_is_required(tmp_path):
    right = {f"{split}.csv": digest(PAIRS) for split in EVERYTHING}
    _, report = prepared(tmp_path, "nli", "csv", PAIRS, sha256=right)
    assert report["files"]["test"]["digest_was_required"] is True
    wrong = {**right, "test.csv": "0" * 64}
    with pytest.raises(UserError) as error:
        read(tmp_path, "nli", "csv", "no such\ncolumns", PAIRS, PAIRS, sha256=wrong)
    assert str(error.value) == (  # the first file that is wrong, before anything is read
        f"{tmp_path / 'train.csv'}: sha256 {digest('no such' + chr(10) + 'columns')}; "
        f"allowed by the configuration: {digest(PAIRS)}"
    )


def test_a_list_of_digests_in_the_folder_is_required_too(tmp_path):
    lines = [f"{digest(PAIRS)}  {split}.csv\n" for split in ("train", "test")]
    (tmp_path / "SHA256SUMS.txt").write_text("".join(lines) + f"{'1' * 64} *LICENSE.txt\n")
    _, report = prepared(tmp_path, "nli", "csv", PAIRS)
    assert [report["files"][split]["digest_was_required"] for split in EVERYTHING] == [
        True,
        False,
        True,
    ]
    with pytest.raises(UserError, match=r"test\.csv: sha256 .* allowed by SHA256SUMS\.txt: "):
        read(tmp_path, "nli", "csv", PAIRS, PAIRS, PAIRS + "a,b,no\n")
    (tmp_path / "SHA256SUMS.txt").write_text("<html>\n")
    with pytest.raises(UserError, match=r"SHA256SUMS\.txt line 1: '<html>'"):
        read(tmp_path, "nli", "csv", PAIRS)


def test_counts_are_required_before_lines_are_looked_into(tmp_path):
    text = HEAD + "a,,no\n"
    with pytest.raises(UserError) as error:
        read(tmp_path, "nli", "csv", text, examples={"train": 2, "validation": 2, "test": 2})
    assert str(error.value) == f"{tmp_path / 'train.csv'}: 1 examples; allowed: 2"


def test_a_missing_file_says_how_to_get_it(tmp_path):
    source = LocalFiles(
        kind="files",
        files={"train": "a", "validation": "b", "test": "c"},
        format="jsonl",
        obtain="sign the agreement\nand download it",
    )
    (tmp_path / "a").write_text(JSON)
    with pytest.raises(UserError) as error:
        read_task("nli", source, tmp_path, EVERYTHING, 1)
    assert str(error.value) == (
        f"{tmp_path / 'b'}: no such file; sign the agreement and download it"
    )


@pytest.mark.parametrize(
    ("kind", "changes", "where", "said"),
    [
        ("nli", {"format": "conll"}, ("source", "format"), "'conll' for kind 'nli'"),
        (
            "ner",
            {"format": "conll", "columns": {"tags": "x"}},
            ("source", "columns", "tags"),
            "positions",
        ),
        (
            "ner",
            {"format": "conll", "columns": {"group_id": 1}},
            ("source", "columns", "group_id"),
            "positions",
        ),
        (
            "nli",
            {"columns": {"label": 2}},
            ("source", "columns", "label"),
            "2; allowed: the name of a column",
        ),
        (
            "nli",
            {"columns": {"text": "a"}},
            ("source", "columns", "text"),
            "unknown column of kind 'nli'",
        ),
        (
            "ner",
            {"labels": {"1": "DNA"}},
            ("source", "labels", "1"),
            "'DNA'; allowed: O, or B- or I-",
        ),
        (
            "nli",
            {"files": {"train": "a", "validation": "b", "test": "a"}},
            ("source", "files", "train"),
            "'a' stands twice",
        ),
        (
            "nli",
            {"sha256": {"d": "0" * 64}},
            ("source", "sha256", "d"),
            "is no file of this source",
        ),
    ],
)
def test_a_source_that_cannot_be_is_refused(kind, changes, where, said):
    files = {"train": "a", "validation": "b", "test": "c"}
    options = {"kind": "files", "files": files, "format": "jsonl", **changes}
    with pytest.raises(Invalid, match=re.escape(said)) as error:
        check_source(kind, LocalFiles(**options))
    assert error.value.where == where


# --- properties ----------------------------------------------------------------------------------


def as_file(text):
    """The text as if it had been read from a file."""
    return TextFile(Path("x"), text, {}, {})


#: Any text that a file in UTF-8 can hold, but for what ends a line of CoNLL or is NUL.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\t")
WORDS = st.text(CHARACTERS, min_size=1, max_size=8).filter(
    lambda word: word.strip() and not word.lstrip(" ").startswith("-DOCSTART-")
)
TAGS = st.sampled_from(["O", "B-x", "I-x", "B-y z"])
TAGGED_SENTENCES = st.lists(
    st.lists(st.tuples(WORDS, TAGS), min_size=1, max_size=5), min_size=1, max_size=5
)


@given(TAGGED_SENTENCES, st.integers(1, 3))
def test_conll_that_was_written_is_read(sentences, gap):
    blocks = ["".join(f"{word}\t{tag}\n" for word, tag in sentence) for sentence in sentences]
    records, skipped = read_records(as_file(("\n" * gap).join(blocks)), "conll", "ner", {})
    assert [
        list(zip(record.cells["tokens"], record.cells["tags"], strict=True)) for record in records
    ] == sentences
    assert skipped["empty_sentences"] == (gap - 1) * (len(sentences) - 1)
    text = ("\n" * gap).join(blocks).split("\n")
    for record in records:
        for line, word in zip(record.word_lines, record.cells["tokens"], strict=True):
            assert text[line - 1].startswith(f"{word}\t")


@given(TAGGED_SENTENCES)
def test_conll_between_blanks(sentences):
    sentences = [
        [("".join(word.split()), tag.replace(" ", "-")) for word, tag in sentence]
        for sentence in sentences
    ]
    lines = ["".join(f" {word}  x {tag} \n" for word, tag in each) for each in sentences]
    records, _ = read_records(as_file("\n".join(lines)), "conll", "ner", {})
    assert [
        list(zip(record.cells["tokens"], record.cells["tags"], strict=True)) for record in records
    ] == sentences


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)
NAMES = st.permutations(["premise", "hypothesis", "label", "else"])


@given(st.lists(st.lists(CELLS, min_size=4, max_size=4), max_size=6), NAMES)
def test_csv_that_was_written_is_read(rows, names):
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([names, *rows])
    records, skipped = read_records(as_file(out.getvalue()), "csv", "nli", {})
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    expected = [{n: c for n, c in zip(names, row, strict=True) if n != "else"} for row in filled]
    assert [record.cells for record in records] == expected
    assert skipped["blank_lines"] == len(rows) - len(filled)
    lines = out.getvalue().split("\n")
    for record, row in zip(records, filled, strict=True):
        first = row[0].partition("\n")[0].replace('"', '""')
        assert lines[record.line - 1].removeprefix('"').startswith(first)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6))
def test_json_lines_that_were_written_are_read(rows):
    names = ("premise", "hypothesis", "label")
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows]
    records, _ = read_records(as_file("\n".join(lines)), "jsonl", "nli", {})
    assert [tuple(record.cells.values()) for record in records] == rows
    assert [record.line for record in records] == list(range(1, len(rows) + 1))


@given(st.binary(max_size=60), st.sampled_from(sorted(GOOD)))
def test_whatever_stands_in_a_file_it_is_read_or_refused(tmp_path_factory, data, what):
    """Bytes after a good beginning: rows, or one line; nothing else."""
    kind, layout = what
    folder = tmp_path_factory.mktemp("any")
    try:
        task = read(folder, kind, layout, GOOD[what].encode() + data)
    except UserError as error:
        message = str(error)
    else:
        write_task(folder / "out", task)
        assert read_table(folder / "out" / "train.parquet", kind).num_rows >= 2
        return
    assert message.startswith(str(folder / "train"))
    assert len(message.splitlines()) == 1


def test_a_file_that_is_a_folder_or_gone(tmp_path):
    with pytest.raises(UserError, match="no such file; ask me"):
        read_text(tmp_path / "gone", "ask me")
    with pytest.raises(UserError, match="Is a directory; allowed: a file that can be read"):
        read_text(tmp_path)


# --- real data -----------------------------------------------------------------------------------

needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data beside the checkout")


@needs_data
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
