"""The catalogue: what it names is there, and it counts in nothing that is drawn or tabulated."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from layerscope import catalogue
from layerscope.core.code import code_modules
from layerscope.core.formats import SCHEMAS

ROOT = Path(__file__).parents[2]
CONDITIONS = {
    "models",
    "attention",
    "interventions",
    "references",
    "adapter-pairs",
    "training-repeats",
    "pretrained-here",
}
EVERYTHING = {*catalogue.SWITCHES, *CONDITIONS}


def test_every_condition_is_a_switch_or_is_worked_out() -> None:
    entries = (*catalogue.TABLES, *catalogue.FIGURES, *catalogue.PAGES)
    needed = {name for entry in entries for name in entry.needs}
    assert needed == EVERYTHING
    assert catalogue.planned(catalogue.FIGURES, EVERYTHING) == list(catalogue.FIGURES)


def test_every_figure_and_page_has_a_caption_and_no_caption_is_left() -> None:
    named = {entry.name for entry in (*catalogue.FIGURES, *catalogue.PAGES)} | {"workflow"}
    assert {path.stem for path in (ROOT / "workflow" / "report").glob("*.rst")} == named


def test_every_table_has_a_format() -> None:
    names = catalogue.table_names(EVERYTHING)
    assert len(names) == len(set(names))
    assert {f"{name}-table" for name in names} <= set(SCHEMAS)


@pytest.mark.parametrize("chosen", [set(), EVERYTHING, *({name} for name in sorted(EVERYTHING))])
def test_what_is_planned_has_its_tables(chosen: set[str]) -> None:
    there = set(catalogue.table_names(chosen))
    for table in catalogue.planned(catalogue.TABLES, chosen):
        assert set(table.inputs) <= there, table.name
    for figure in catalogue.planned(catalogue.FIGURES, chosen):
        assert set(figure.tables) <= there, figure.name
    for page in catalogue.PAGES:
        assert set(page.tables) <= set(catalogue.table_names(EVERYTHING))


@pytest.mark.parametrize("rule", [rule for rule, (_, part) in catalogue.programs().items() if part])
def test_a_part_is_there_and_does_not_depend_on_the_catalogue(rule: str) -> None:
    """Else an edit of the catalogue would draw and tabulate everything again."""
    program, part = catalogue.programs()[rule]
    module = import_module(f"layerscope.{part}")
    assert callable(getattr(module, {"draw": "figure", "make_table": "tabulate"}[program]))
    assert f"layerscope.{part}" in code_modules(program, part)
    assert "layerscope.catalogue" not in code_modules(program, part)
