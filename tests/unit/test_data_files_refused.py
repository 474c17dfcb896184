"""Labelled files that are refused, in one line with file and line; and what files have to be."""

import hashlib
import re

import pytest
from labelled_files import EVERYTHING, GOOD, PAIRS, prepared, read

from layerscope.config.base import Invalid
from layerscope.config.tasks import LocalFiles, check_source
from layerscope.core.errors import UserError
from layerscope.data.labelled import read_task
from layerscope.data.textfile import read_text

# --- what is refused: one line with file and line number -----------------------------------------

HEAD = "premise,hypothesis,label\n"
JSON = '{"premise": "a", "hypothesis": "b", "label": "yes"}\n'
TAGGED = '{"tokens": ["a", "b"], "tags": ["O", "B-x"]}\n'

REFUSED = {
    "bad JSON": ("nli", "jsonl", JSON + '{"premise": "a",\n', "line 2: not JSON"),
    "a JSON list": ("nli", "jsonl", "[1]\n", "line 1: [1]; allowed: one JSON object per line"),
    "JSON too deep": ("nli", "jsonl", "[" * 100000 + "\n", "line 1: not JSON"),
    "a long number": ("nli", "jsonl", '{"a": ' + "1" * 5000 + "}\n", "line 1: not JSON"),
    "a key twice": (
        "nli",
        "jsonl",
        JSON.replace('"b"', '"b", "label": "no"'),
        "line 1: not JSON (key 'label' occurs twice)",
    ),
    "groups in some lines": (
        "nli",
        "jsonl",
        JSON + JSON.replace('"a"', '"a", "group_id": "g"'),
        "line 1: no column 'group_id', which line 2 has; allowed: in every line, or in none",
    ),
    "ids in the first line alone": (
        "nli",
        "jsonl",
        JSON.replace('"a"', '"a", "example_id": "i"') + JSON,
        "line 2: no column 'example_id', which line 1 has",
    ),
    "more labels than can be numbered": (
        "nli",
        "csv",
        HEAD + "".join(f"a,b,{number}\n" for number in range(40_000)),
        ": 40,000 labels, tags of entities counted each; allowed: at most 32,767",
    ),
    "a text without width": (
        "nli",
        "jsonl",
        JSON.replace('"a"', '"\u200b\u200d"'),
        "line 1: premise has zero-width characters only; allowed: text",
    ),
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
        "line 1: column 'label' occurs twice",
    ),
    "a label that is a dash": (
        "nli",
        "csv",
        HEAD + "a,b,yes\nc,d,-\n",
        "line 3: label '-', which usually means that there is no label; allowed: a mapping",
    ),
    "a label that is minus one": ("nli", "jsonl", JSON.replace('"yes"', "-1"), "label '-1', which"),
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
        "line 1: premise has an unpaired surrogate",
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
    other = good.replace("-cell", "-organ") if kind == "ner" else good.replace("no", "maybe")
    with pytest.raises(UserError) as error:
        read(tmp_path, kind, layout, good, good, other)
    line = None if kind == "ner" else {"csv": 3, "tsv": 3, "jsonl": 2}[layout]
    line = line or {"csv": 4, "tsv": 4, "jsonl": 2, "conll": 4}[layout]
    what = "entity type 'organ'" if kind == "ner" else "label 'maybe'"
    allowed = "cell, gene" if kind == "ner" else "no, yes"
    assert str(error.value) == (
        f"{tmp_path / f'test.{layout}'} line {line}: {what} is not in the training data; "
        f"allowed: {allowed}, or a mapping in 'labels'"
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
            "'a' occurs twice",
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


def test_a_file_that_is_a_folder_or_gone(tmp_path):
    with pytest.raises(UserError, match="no such file; ask me"):
        read_text(tmp_path / "gone", "ask me")
    with pytest.raises(UserError, match="Is a directory; allowed: a file that can be read"):
        read_text(tmp_path)
