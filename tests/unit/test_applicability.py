"""What is not applicable to a model, from files of variants to tables, figures and the summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from layerscope.core.applicability import (
    NOT_APPLICABLE,
    described,
    gathered_from,
    merged,
    missing_models,
    sentences,
)
from layerscope.core.errors import UserError
from layerscope.core.formats import file_metadata, write_table
from layerscope.core.table_files import join
from layerscope.figures import attention, heads

WHY = {"attention": "MambaModel gives no attention maps"}


def variant(root: Path, *place: str, reasons: dict[str, str] | None = None) -> Path:
    path = root.joinpath(*place).with_suffix(".parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, "attention", [], described(reasons or {}))
    return path


def test_reasons_are_gathered_by_task_and_model(tmp_path: Path) -> None:
    paths = [
        variant(tmp_path, "t", "mamba", "f10-s1", reasons=WHY),
        variant(tmp_path, "t", "mamba", "f10-s2", reasons=WHY),
        variant(tmp_path, "t", "bert", "f10-s1"),
    ]
    found = gathered_from(paths, "attention")
    assert found == {NOT_APPLICABLE: {"t": {"mamba": WHY}}}
    assert missing_models(found, "t") == {"mamba": WHY}
    assert missing_models(found, "other") == {}
    assert gathered_from(paths[2:], "attention") == {}  # nothing is added to other studies' files


def test_joined_tables_keep_the_reasons_of_their_parts(tmp_path: Path) -> None:
    def part(name: str, **metadata: Any) -> Path:
        write_table(tmp_path / name, "attention-table", [], metadata)
        return tmp_path / name

    one = part("a", confidence=0.9, **{NOT_APPLICABLE: {"t": {"mamba": WHY}}})
    other = part("b", confidence=0.9)
    join([other, one], "attention-table", tmp_path / "c.parquet")
    found = file_metadata(tmp_path / "c.parquet", "attention-table")
    assert found[NOT_APPLICABLE] == {"t": {"mamba": WHY}}
    assert found["confidence"] == 0.9
    with pytest.raises(UserError, match=r"made with .*0\.8"):
        join([other, part("d", confidence=0.8)], "attention-table", tmp_path / "e.parquet")


def test_the_summary_says_once_what_is_missing_and_why() -> None:
    tables = [
        {NOT_APPLICABLE: {"a": {"mamba": WHY}, "b": {"mamba": WHY}}},
        {NOT_APPLICABLE: {"a": {"mamba": WHY}}},
        {"confidence": 0.9},
    ]
    assert list(sentences(tables)) == [
        "mamba: attention not applicable (MambaModel gives no attention maps), on a, b"
    ]
    assert merged(tables[2:]) == {}


@pytest.mark.parametrize("drawn", [attention, heads])
def test_a_figure_without_any_model_says_so(drawn: Any) -> None:
    columns = ["task", "model", "variant", "percent", "measure", "value"]
    figure = drawn.draw(pd.DataFrame(columns=columns), {"mamba": WHY})
    assert [text.get_text() for text in figure.texts] == [
        "Not applicable: no model here has attention maps."
    ]
