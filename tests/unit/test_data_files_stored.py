"""How files are stored: Parquet, compressed text, several files a split."""

from __future__ import annotations

import gzip
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from labelled_files import EVERYTHING, GOOD, PAIRS

from layerscope.config.base import Invalid
from layerscope.config.tasks import HubFiles, LocalFiles, check_source
from layerscope.core.errors import UserError
from layerscope.data.labelled import read_task

SENTENCES = {
    "tokens": [["IL-2", "works"], ["No", "HeLa", "cells"]],
    "ner_tags": [[3, 0], [0, 1, 2]],
}
TAGS = ["O", "B-cell", "I-cell", "B-gene"]


def feature(kind, names):
    """How `datasets` describes a column of classes."""
    return {"names": names, "_type": "ClassLabel"} if kind == "nli" else {
        "feature": {"names": names, "_type": "ClassLabel"}, "_type": "List"}  # fmt: skip


def save_table(path, columns, features=None):
    table = pa.table(columns)
    if features:
        described = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": described})
    pq.write_table(table, path)


def read(folder, kind, files, layout, **options):
    source = LocalFiles(kind="files", files=files, format=layout, **options)
    check_source(kind, source)
    return read_task(kind, source, folder, EVERYTHING, 1)


def every(name):
    """The same pattern in other folders, since a file is in one split."""
    return {split: f"{split}/{name}" for split in EVERYTHING}


def in_every(folder, write):
    for split in EVERYTHING:
        (folder / split).mkdir()
        write(folder / split)


def test_classes_of_parquet_have_the_names_that_datasets_gave_them(tmp_path):
    features = {"ner_tags": feature("ner", TAGS), "tokens": {"_type": "List"}}
    in_every(tmp_path, lambda at: save_table(at / "0000.parquet", SENTENCES, features))
    columns = {"tags": "ner_tags"}
    task = read(tmp_path, "ner", every("0000.parquet"), "parquet", columns=columns)
    assert [row["tags"] for row in task.splits["train"]] == [
        ["B-gene", "O"],
        ["O", "B-cell", "I-cell"],
    ]
    assert task.facts["files"]["train"]["rows"] == 2
    assert task.facts["files"]["train"]["named_classes"] == 5


def test_pairs_without_a_label_in_parquet_are_asked_about_and_left_out(tmp_path):
    columns = {"premise": ["a", "b", "c"], "hypothesis": ["d", "e", "f"], "label": [0, 1, -1]}
    features = {"label": feature("nli", ["yes", "no"])}
    in_every(tmp_path, lambda at: save_table(at / "a.parquet", columns, features))
    with pytest.raises(UserError, match=r"a\.parquet row 3: label '-1', which usually means"):
        read(tmp_path, "nli", every("a.parquet"), "parquet")
    labels = {"yes": "yes", "no": "no", "-1": None}
    task = read(tmp_path, "nli", every("a.parquet"), "parquet", labels=labels)
    assert [row["label"] for row in task.splits["test"]] == ["yes", "no"]


def test_classes_without_names_are_numbers_as_text(tmp_path):
    columns = {"premise": ["a", "b"], "hypothesis": ["d", "e"], "label": [0, 1]}
    in_every(tmp_path, lambda at: save_table(at / "a.parquet", columns))
    task = read(tmp_path, "nli", every("a.parquet"), "parquet")
    assert task.labels == ("0", "1")


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize(("kind", "layout"), GOOD)
def test_compressed_text_is_read_as_plain_text_is(tmp_path, kind, layout, ending):
    text = GOOD[kind, layout].encode()
    name = f"a.{layout}"
    packed = gzip.compress(text) if ending == ".gz" else pa.compress(text, "zstd", asbytes=True)
    in_every(tmp_path, lambda at: (at / name).write_bytes(text))
    plain = read(tmp_path, kind, every(name), layout)
    for split in EVERYTHING:
        (tmp_path / split / (name + ending)).write_bytes(packed)
    assert read(tmp_path, kind, every(name + ending), layout).splits == plain.splits
    (tmp_path / "test" / (name + ending)).write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UserError, match=f"test/{name}{ending}: .*; allowed: a whole file of"):
        read(tmp_path, kind, every(name + ending), layout)


def test_several_files_are_read_one_after_the_other_with_a_digest_each(tmp_path):
    def write(at):
        for number in (2, 10, 1):
            text = PAIRS.replace("It rains.", f"It rains {number}.")
            (at / f"part-{number:02d}.csv").write_text(text)

    in_every(tmp_path, write)
    task = read(tmp_path, "nli", every("part-*.csv"), "csv", examples=dict.fromkeys(EVERYTHING, 6))
    assert [row["premise"] for row in task.splits["train"]][::2] == [
        "It rains 1.", "It rains 2.", "It rains 10."]  # fmt: skip
    assert [file["file"] for file in task.facts["files"]["train"]["files"]] == [
        f"train/part-{number:02d}.csv" for number in (1, 2, 10)]  # fmt: skip
    assert len(task.source["sha256"]) == 9
    listed = {"train": ["train/part-10.csv", "train/part-01.csv"], "validation": "test/part-01.csv",
              "test": "test/part-02.csv"}  # fmt: skip
    task = read(
        tmp_path,
        "nli",
        listed,
        "csv",
        sha256={"test/part-02.csv": task.source["sha256"]["test/part-02.csv"]},
    )
    assert [row["premise"] for row in task.splits["train"]][::2] == ["It rains 10.", "It rains 1."]


@pytest.mark.parametrize(
    ("files", "layout", "said"),
    [
        ({"train": "*.csv", "validation": "b.csv", "test": "c.csv"}, "csv",
         "b.csv: matches files.train and files.validation; allowed: each file in one split"),
        ({"train": "a.csv", "validation": "b.csv", "test": "test-*.csv"}, "csv",
         "test-*.csv: no file matches; allowed: a file that can be read"),
        ({"train": ["a.csv", "gone.csv"], "validation": "b.csv", "test": "c.csv"}, "csv",
         "gone.csv: no such file"),
        ({"train": "a.csv", "validation": "b.csv", "test": "c.csv"}, "parquet",
         "a.csv: Parquet magic bytes not found"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_had_are_one_line(tmp_path, files, layout, said):
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text(PAIRS)
    with pytest.raises(UserError, match=re.escape(said)):
        read(tmp_path, "nli", files, layout)


def test_documents_of_two_files_are_two(tmp_path):
    text = "-DOCSTART- O\n\nHeLa B-cell\n\n-DOCSTART- O\n\np53 B-gene\n"
    in_every(tmp_path, lambda at: (at / "data.conll").write_text(text))
    task = read(tmp_path, "ner", every("data.conll"), "conll", drop_overlap="groups")
    groups = [row["group_id"] for split in EVERYTHING for row in task.splits[split]]
    assert len(set(groups)) == 6


def test_parts_that_a_pattern_does_not_find_are_missed(tmp_path):
    def write(at):
        (at / "pairs-00000-of-00003.csv").write_text(PAIRS)
        (at / "pairs-00002-of-00003.csv").write_text(PAIRS)

    in_every(tmp_path, write)
    said = "/train/pairs: files.train finds 2 of 3 parts, not 00001; allowed: all parts, or a list"
    with pytest.raises(UserError, match=re.escape(said)):
        read(tmp_path, "nli", every("pairs-*.csv"), "csv")


def test_a_file_whose_digest_is_required_may_not_be_absent(tmp_path):
    in_every(tmp_path, lambda at: (at / "part-1.csv").write_text(PAIRS))
    said = (
        "train/part-2.csv: source.sha256 names it, but no split has it; allowed: train/part-1.csv"
    )
    with pytest.raises(UserError, match=re.escape(said)):
        read(tmp_path, "nli", every("part-*.csv"), "csv", sha256={"train/part-2.csv": "0" * 64})


def save_stream(path, table, end=True):
    with pa.OSFile(str(path), "wb") as file:
        stream = pa.ipc.new_stream(file, table.schema)
        stream.write_table(table, max_chunksize=1)
        if end:
            stream.close()


def test_a_stream_that_ends_between_two_batches_is_refused(tmp_path):
    columns = {"premise": ["a", "b"], "hypothesis": ["d", "e"], "label": ["yes", "no"]}
    in_every(tmp_path, lambda at: save_stream(at / "a.arrow", pa.table(columns)))
    assert len(read(tmp_path, "nli", every("a.arrow"), "arrow").splits["test"]) == 2
    save_stream(tmp_path / "test" / "a.arrow", pa.table(columns), end=False)
    with pytest.raises(UserError, match=r"a\.arrow: no end of the stream; allowed: a whole Arrow"):
        read(tmp_path, "nli", every("a.arrow"), "arrow")


@pytest.mark.parametrize(("layout", "save"), [("parquet", pq.write_table), ("arrow", save_stream)])
def test_a_column_that_occurs_twice_and_text_that_is_not_utf8(tmp_path, layout, save):
    texts = [pa.array([text]) for text in ("a", "b", "yes")]
    names = ["premise", "hypothesis", "label"]
    broken = pa.array([b"\xff"]).cast(pa.string(), safe=False)
    for columns, keys, said in (
        ([*texts, pa.array(["no"])], [*names, "label"], "column 'label' occurs twice"),
        ([broken, *texts[1:]], names, "utf-8"),
    ):
        table = pa.Table.from_arrays(columns, keys)
        for split in EVERYTHING:
            (tmp_path / split).mkdir(exist_ok=True)
            if layout == "parquet":
                save(table, tmp_path / split / "a.parquet")
            else:
                save(tmp_path / split / "a.arrow", table)
        with pytest.raises(UserError, match=rf"a\.{layout}: .*{said}"):
            read(tmp_path, "nli", every(f"a.{layout}"), layout)


def test_an_example_id_of_another_file_is_named_with_it(tmp_path):
    for name in ("a.csv", "b.csv", "c.csv", "d.csv"):
        (tmp_path / name).write_text("example_id,premise,hypothesis,label\nx,a,b,yes\ny,c,d,no\n")
    files = {"train": ["a.csv", "b.csv"], "validation": "c.csv", "test": "d.csv"}
    said = f"{tmp_path}/b.csv line 2: example_id 'x' is that of {tmp_path}/a.csv line 2 too"
    with pytest.raises(UserError, match=re.escape(said)):
        read(tmp_path, "nli", files, "csv")


def test_a_hub_is_not_asked_for_patterns():
    source = HubFiles(
        kind="hub", repository="a/b", revision="0" * 40, format="parquet",
        files={"train": "train-*.parquet", "validation": "b", "test": "c"},
    )  # fmt: skip
    with pytest.raises(Invalid, match=r"'train-\*\.parquet'; allowed: names of files"):
        check_source("nli", source)
