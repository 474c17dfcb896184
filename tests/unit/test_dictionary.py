"""The data dictionary: all columns of all tables, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from layerscope import catalogue
from layerscope.core.errors import UserError
from layerscope.core.formats import SCHEMAS, dictionary, write_table
from layerscope.core.formats.dictionary import TABLE, columns_of

TABLES = [kind.removesuffix(TABLE) for kind in SCHEMAS if kind.endswith(TABLE)]
ROW = {"model": "gpt", "corpus": "hpo", "objective": "causal", "step": 5, "metric": "loss"}


def test_it_has_every_table_of_the_catalogue_and_nothing_needless() -> None:
    entries = dictionary._entries()
    named = [name for table in catalogue.TABLES for name in table.names]
    assert set(TABLES) == set(named) == set(entries) - {dictionary.SHARED}
    needed = {
        name
        for table in TABLES
        for name in SCHEMAS[f"{table}{TABLE}"]
        if name not in entries[table]
    }
    assert needed == set(entries[dictionary.SHARED])


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_described(table: str) -> None:
    found = columns_of(table)
    assert [column.name for column in found] == list(SCHEMAS[f"{table}{TABLE}"])
    for column in found:
        assert column.about.endswith("."), column
        if column.type in ("integer", "number"):
            low, high = column.range
            assert low < high, column


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"step": None}, "table 'pretraining', column 'step': not described; allowed: model"),
        ({"steps": {"about": "A."}}, "column 'steps': not in the table; allowed: model, corpus"),
        ({"step": {"about": "A.", "units": "m"}}, "column 'step': keys about, units; allowed: "),
    ],
)
def test_a_column_too_few_or_too_many_stops_the_writer(
    own: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entries = dict(dictionary._entries())
    entries["pretraining"] = entries["pretraining"] | own
    if own.get("step", True) is None:
        del entries["pretraining"]["step"]
    monkeypatch.setattr(dictionary, "_entries", lambda: entries)
    with pytest.raises(UserError) as caught:
        write_table(tmp_path / "table.parquet", "pretraining-table", [ROW | {"value": 1.0}])
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_table_carries_it_and_other_files_do_not(tmp_path: Path) -> None:
    write_table(tmp_path / "table.parquet", "pretraining-table", [ROW | {"value": 1.0}])
    schema = pq.read_schema(tmp_path / "table.parquet")
    assert schema.field("value").metadata == {
        b"about": b"Loss or perplexity on held-out text.",
        b"unit": b"nats per predicted sub-word for `loss`, else none",
        b"range": b"0 or more",
    }
    write_table(tmp_path / "sample.parquet", "sample", [{"example_id": "a"}])
    assert pq.read_schema(tmp_path / "sample.parquet").field("example_id").metadata is None


def test_ranges_in_words() -> None:
    def said(type_: str, *values: Any) -> str:
        return dictionary.Column("x", type_, "", range=values).allowed

    infinite = float("inf")
    assert said("number", 0, 1) == "0 to 1"
    assert said("integer", 1, infinite) == "1 or more"
    assert said("number", -1, 1) == "−1 to 1"
    assert said("number", -infinite, infinite) == "any"
    assert said("text", "loss", "perplexity") == "loss, perplexity"
    assert said("text") == ""
