"""Whatever is written to a labelled file: it is read as it was, or refused in one line."""

import csv
import io
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from labelled_files import GOOD, read

from layerscope.core.errors import UserError
from layerscope.core.formats import read_table
from layerscope.data.examples import read_records
from layerscope.data.prepared import write_task
from layerscope.data.textfile import TextFile


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
