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
from layerscope.core.formats import SCHEMAS, file_metadata, write_table
from layerscope.core.table_files import Drawn, Sources, join
from layerscope.evaluation import association
from layerscope.explorer.content import contents
from layerscope.figures import attention, head_importance, heads
from layerscope.figures.style import missing_handles
from layerscope.tables import not_applicable

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


MISSING = {NOT_APPLICABLE: {"a": {"mamba": WHY}, "b": {"mamba": WHY}}}


def test_what_is_missing_has_a_table_of_its_own_and_the_summary_says_it_once(
    tmp_path: Path,
) -> None:
    tables = {"attention": MISSING, "weight_change": {"confidence": 0.9}}
    paths = {name: [str(tmp_path / f"{name}.parquet")] for name in tables}
    for name, description in tables.items():
        write_table(paths[name][0], f"{name}-table", [], description)
    (block,) = not_applicable.tabulate(Sources({**paths, "files": []}))["not_applicable"].blocks
    reason = {"model": "mamba", "analysis": "attention", "reason": WHY["attention"]}
    assert block == [{"task": "a", **reason}, {"task": "b", **reason}]
    assert list(sentences(block)) == [
        "mamba: attention not applicable (MambaModel gives no attention maps), on a, b"
    ]
    assert association._missing(Sources(paths)) == MISSING
    assert merged(list(tables.values())[1:]) == {}


def test_legends_name_models_and_where_it_is_not_plain_what_they_lack() -> None:
    missing = {"mamba": {**WHY, "change of weights": "x"}, "zamba": {"change of weights": "x"}}

    def labels(*analysis: str) -> list[object]:
        return [handle.get_label() for handle in missing_handles(missing, *analysis)]

    assert labels("attention") == ["mamba: not applicable"]
    assert labels() == [
        "mamba: attention not applicable",
        "mamba: change of weights not applicable",
        "zamba: change of weights not applicable",
    ]


def test_the_explorer_has_the_reasons() -> None:
    row = {"task": "t", "model": "mamba", "analysis": "attention", "reason": "none"}
    schema = SCHEMAS["similarity-table"]
    values = {
        **dict.fromkeys(schema),
        "task": "t",
        "model": "mamba",
        "view": "v",
        "layer": 0,
        "depth": 0.0,
    }
    similar = pd.DataFrame([{**values, "variant": "pretrained", "measure": "cka", "value": 1.0}])
    tables = {"not_applicable": pd.DataFrame([row]), "similarity": similar}
    task = contents("s", tables, 0.9)["tasks"]["t"]
    assert task["missing"] == {"mamba": {"attention": "none"}}
    assert task["models"] == ["mamba"]


@pytest.mark.parametrize("name", ["attention", "head_importance"])
def test_a_task_without_any_model_has_a_figure_that_says_so(name: str, tmp_path: Path) -> None:
    """Though its tables have no rows of the task."""
    drawn: Any = {"attention": attention, "head_importance": head_importance}[name]
    tables = [name, "head_correlations"] if name == "head_importance" else [name]
    paths = {table: [str(tmp_path / f"{table}.parquet")] for table in tables}
    for table, (path,) in paths.items():
        write_table(path, f"{table}-table", [], MISSING)
    (text,) = drawn.figure(Drawn(paths, "b")).texts
    assert text.get_text().startswith("Not applicable: no model here has attention ")
    with pytest.raises(UserError, match="no task 'c'; allowed: none, it is empty"):
        drawn.figure(Drawn(paths, "c"))


@pytest.mark.parametrize("drawn", [attention, heads])
def test_a_figure_without_any_model_says_so(drawn: Any) -> None:
    columns = ["task", "model", "variant", "percent", "measure", "value"]
    figure = drawn.draw(pd.DataFrame(columns=columns), {"mamba": WHY})
    assert [text.get_text() for text in figure.texts] == [
        "Not applicable: no model here has attention maps."
    ]
