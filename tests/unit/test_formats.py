"""Files of tables: what goes in comes out, and what is not such a file is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import one_line

from layerscope.core import formats
from layerscope.core.errors import UserError

EXAMPLES = {
    pa.string(): ["a", "β", ""],
    pa.int32(): [0, -5, 2**31 - 1],
    pa.int64(): [0, 2**40, -1],
    pa.float32(): [0.5, -2.0, 0.0],
    pa.float64(): [0.1, -1e300, 3.0],
    pa.bool_(): [True, False, None],
    pa.list_(pa.string()): [["IL-2", "gene"], [], ["x"]],
    pa.list_(pa.float32()): [[0.25, 0.75], [], [1.0]],
}


def columns_of(kind: str) -> dict[str, list[Any]]:
    return {name: EXAMPLES[dtype] for name, dtype in formats.SCHEMAS[kind].items()}


def rows_of(kind: str) -> list[dict[str, Any]]:
    columns = columns_of(kind)
    return [{name: values[i] for name, values in columns.items()} for i in range(3)]


# --- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", formats.SCHEMAS)
def test_tables_go_round(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "table.parquet"
    formats.write_table(path, kind, rows_of(kind), {"labels": ["a", "b"]})
    assert formats.read_table(path, kind).to_pylist() == rows_of(kind)
    assert formats.file_metadata(path, kind) == {
        "kind": kind,
        "format": formats.VERSION,
        "labels": ["a", "b"],
    }


def test_rows_and_columns_give_the_same_bytes(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    formats.write_table(one, "predictions", rows_of("predictions"), {"x": 1, "a": 2})
    columns = dict(reversed(columns_of("predictions").items()))
    formats.write_table(two, "predictions", columns, {"a": 2, "x": 1})
    formats.write_table(other, "predictions", columns, {"a": 3, "x": 1})
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes() != other.read_bytes()


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    formats.write_table(path, "ner", [])
    table = formats.read_table(path, "ner")
    assert table.num_rows == 0
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == formats.SCHEMAS["ner"]


def test_nulls_survive(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    row = {**rows_of("scores-table")[0], "seed": None, "low": None}
    formats.write_table(path, "scores-table", [row])
    assert formats.read_table(path, "scores-table").to_pylist() == [row]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_neither_written_nor_read(
    value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scores.parquet"
    good, bad = rows_of("scores-table")[0], {**rows_of("scores-table")[0], "value": value}
    with pytest.raises(UserError, match=f"column 'value', row 1: {value}; allowed: finite"):
        formats.write_table(path, "scores-table", [good, bad])
    assert not path.exists()
    with monkeypatch.context() as patched:
        patched.setattr(formats.tables, "require_finite", lambda *_: None)
        formats.write_table(path, "scores-table", [good, bad])
    with pytest.raises(UserError, match="column 'value', row 1") as caught:
        formats.read_table(path, "scores-table")
    one_line(caught, path)


def test_only_the_wanted_columns_are_given(tmp_path: Path) -> None:
    path = tmp_path / "nli.parquet"
    formats.write_table(path, "nli", rows_of("nli"))
    assert formats.read_table(path, "nli", ["label", "premise"]).column_names == [
        "label",
        "premise",
    ]


@pytest.mark.parametrize(
    "rows",
    [[{"example_id": 3}], {"example_id": ["a", 3]}, {"other": ["a"]}],
    ids=["row type", "column type", "column missing"],
)
def test_a_refused_table_leaves_no_file(tmp_path: Path, rows: Any) -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError, KeyError)):
        formats.write_table(tmp_path / "sample.parquet", "sample", rows)
    assert os.listdir(tmp_path) == []


def test_a_missing_or_foreign_file_gives_one_line(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"example_id": ["a"]}), foreign)
    text = tmp_path / "text.parquet"
    text.write_text("example_id\na\n")
    for path, problem in (
        (tmp_path / "none.parquet", "no such file"),
        (text, "not a Parquet file"),
        (tmp_path, "not a Parquet file"),
        (foreign, "kind None, format None; allowed: kind 'sample'"),
    ):
        with pytest.raises(UserError) as caught:
            formats.read_table(path, "sample")
        assert problem in one_line(caught, path)


def test_another_kind_gives_one_line(tmp_path: Path) -> None:
    path = tmp_path / "nli.parquet"
    formats.write_table(path, "nli", rows_of("nli"))
    with pytest.raises(UserError) as caught:
        formats.read_table(path, "ner")
    assert "kind 'nli', format 1; allowed: kind 'ner', format 1" in one_line(caught, path)
    with pytest.raises(UserError) as caught:
        formats.read_layer(path, 0)
    assert "allowed: kind 'activations'" in one_line(caught, path)


def test_another_version_gives_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sample.parquet"
    with monkeypatch.context() as patch:
        patch.setattr("layerscope.core.formats.tables.VERSION", formats.VERSION + 1)
        formats.write_table(path, "sample", rows_of("sample"))
    with pytest.raises(UserError) as caught:
        formats.read_table(path, "sample")
    assert f"format {formats.VERSION + 1}; allowed" in one_line(caught, path)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"text_id": pa.string()}, "column 'text' is missing; allowed: string"),
        ({"text_id": pa.string(), "text": pa.int64()}, "column 'text' is int64; allowed: string"),
    ],
)
def test_other_columns_give_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "corpus.parquet"
    with monkeypatch.context() as patch:
        patch.setitem(formats.SCHEMAS, "corpus", changed)
        formats.write_table(path, "corpus", [])
    with pytest.raises(UserError) as caught:
        formats.read_table(path, "corpus")
    assert problem in one_line(caught, path)


def test_blocks_are_the_rows_one_after_the_other(tmp_path: Path) -> None:
    """Whatever a block is: rows, columns, a table, or nothing."""
    rows = rows_of("scores-table")
    columns = {name: [row[name] for row in rows] for name in formats.SCHEMAS["scores-table"]}
    formats.write_table(tmp_path / "one", "scores-table", rows)
    table = formats.read_table(tmp_path / "one", "scores-table")
    blocks = iter([rows, [], columns, table])
    formats.write_blocks(tmp_path / "all", "scores-table", blocks, {"of": 3})
    assert formats.read_table(tmp_path / "all", "scores-table").to_pylist() == rows * 3
    assert formats.file_metadata(tmp_path / "all", "scores-table")["of"] == 3


def test_a_block_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def blocks() -> Iterator[list[dict[str, Any]]]:
        yield rows_of("scores-table")
        raise UserError("the second block")

    with pytest.raises(UserError, match="the second block"):
        formats.write_blocks(tmp_path / "t.parquet", "scores-table", blocks())
    assert list(tmp_path.iterdir()) == []


# --- samples -----------------------------------------------------------------------------------


def test_a_sample_gives_its_rows_in_the_order_of_the_table(tmp_path: Path) -> None:
    data, sample = tmp_path / "data.parquet", tmp_path / "sample.parquet"
    rows = [{**rows_of("nli")[0], "example_id": f"e{i}", "premise": str(i)} for i in range(6)]
    formats.write_table(data, "nli", rows)
    formats.write_table(sample, "sample", {"example_id": ["e4", "e0", "e3"]})
    assert formats.read_sample(data, sample, "nli").to_pylist() == [rows[0], rows[3], rows[4]]


@pytest.mark.parametrize("ids", [["e0", "nowhere"], ["e0", "e0"]], ids=["unknown", "twice"])
def test_a_sample_of_another_table_gives_one_line(tmp_path: Path, ids: list[str]) -> None:
    data, sample = tmp_path / "data.parquet", tmp_path / "sample.parquet"
    formats.write_table(data, "nli", [{**rows_of("nli")[0], "example_id": "e0"}])
    formats.write_table(sample, "sample", {"example_id": ids})
    with pytest.raises(UserError) as caught:
        formats.read_sample(data, sample, "nli")
    assert "2 examples, of which" in one_line(caught, sample)
