"""Text files of the user's as corpora."""

import json
from pathlib import Path

import pytest
from forking import run_program

from layerscope.core.errors import UserError
from layerscope.core.files import read_json
from layerscope.core.formats import read_table
from layerscope.data.corpora import text_files
from layerscope.data.textfile import read_text

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
TRAIN = "The cell divides. It is\nsmall.\n\n \nGenes are expressed.\n\nGenes are expressed.\n"
HELDOUT = "Proteins fold. The CELL divides!\n\nGenes are expressed.\n\n\nEnzymes work.\n"


def read(folder, train, heldout, max_words=None, seed=1):
    (folder / "train.txt").write_text(train, encoding="utf-8")
    (folder / "heldout.txt").write_text(heldout, encoding="utf-8")
    files = (read_text(folder / f"{part}.txt") for part in ("train", "heldout"))
    return text_files(*files, max_words, seed)


def test_documents_stand_between_blank_lines(tmp_path):
    corpus, _ = read(tmp_path, TRAIN, HELDOUT)
    assert corpus.train == [
        ("train.txt:1", "The cell divides. It is small."),
        ("train.txt:5", "Genes are expressed."),
        ("train.txt:7", "Genes are expressed."),
    ]


def test_no_sentence_of_train_is_held_out(tmp_path):
    corpus, dropped = read(tmp_path, TRAIN, HELDOUT)
    assert corpus.heldout == [
        ("heldout.txt:1", "Proteins fold."),
        ("heldout.txt:6", "Enzymes work."),
    ]
    assert dropped == 2


def test_what_is_held_out_does_not_depend_on_how_much_is_learnt(tmp_path):
    whole, _ = read(tmp_path, TRAIN, HELDOUT)
    part, _ = read(tmp_path, TRAIN, HELDOUT, max_words=6)
    assert part.heldout == whole.heldout


def test_words_are_limited_by_a_seeded_choice_of_documents(tmp_path):
    train = "\n\n".join(f"Document {number} has six words." for number in range(40))
    chosen = [
        [text for _, text in read(tmp_path, train, "Other.", 30, seed)[0].train]
        for seed in (1, 1, 2)
    ]
    assert chosen[0] == chosen[1] != chosen[2]
    for texts in chosen:
        assert len(texts) == 6
        assert set(texts) < set(train.split("\n\n"))


@pytest.mark.parametrize(
    ("train", "heldout", "max_words", "said"),
    [
        ("\n \n", "a", None, "train.txt: no text; allowed: documents between blank lines"),
        ("A b. C d.", "a B.\n\nc d", None, "heldout.txt: no sentence that"),
        ("one two three", "four", 2, "has more words than max_words, 2; allowed: more words"),
    ],
)
def test_a_part_without_text_is_refused(tmp_path, train, heldout, max_words, said):
    with pytest.raises(UserError, match=r"^[^\n]*$") as error:
        read(tmp_path, train, heldout, max_words)
    assert said in str(error.value)


def prepare(folder, source):
    settings = {"source": {"kind": "files", **source}, "max_words": None, "seed": 1}
    arguments = ("--settings", json.dumps(settings), "--out-dir", "out")
    return run_program(SCRIPTS / "prepare_corpus.py", *arguments, cwd=folder)


@pytest.mark.slow
def test_the_program_writes_tables_and_a_report(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + TRAIN.replace("\n", "\r\n").encode())
    (tmp_path / "b.txt").write_text(HELDOUT)
    done = prepare(tmp_path, {"train": "a.txt", "heldout": "b.txt"})
    assert done.returncode == 0, done.stderr
    table = read_table(tmp_path / "out" / "train.parquet", "corpus")
    assert table.column("text").to_pylist()[0] == "The cell divides. It is small."
    report = read_json(tmp_path / "out" / "report.json")
    assert report["train"] == {"documents": 3, "words": 12, "characters": 70}
    assert report["heldout"]["documents"] == 2
    assert report["source"]["sentences_of_train_not_held_out"] == 2
    described = report["source"]["files"]["train"]
    assert (described["file"], described["lines"]) == ("a.txt", 7)
    assert (described["byte_order_marks"], described["other_line_ends"]) == (1, 7)


def test_a_file_that_is_missing_or_in_another_encoding_is_one_line(tmp_path):
    (tmp_path / "a.txt").write_bytes("Ein Satz.\n\nGrün.\n".encode("latin-1"))
    done = prepare(tmp_path, {"train": "a.txt", "heldout": "b.txt"})
    assert done.returncode == 1
    assert done.stderr == (
        "error: a.txt line 3: byte 0xfc at 13 is not UTF-8; allowed: text in UTF-8\n"
    )
    (tmp_path / "a.txt").write_text(TRAIN)
    done = prepare(tmp_path, {"train": "a.txt", "heldout": "b.txt"})
    assert done.stderr == "error: b.txt: no such file; allowed: a file\n"
    assert not (tmp_path / "out").exists()
