"""Figures of the smallest study: files are whole and repeatable; what it lacks is left out."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest
from synthetic_results import MODELS, TASKS, write_study
from synthetic_tables import CHOSEN, draw, rows, tabulate

from layerscope import catalogue
from layerscope.core.errors import UserError
from layerscope.core.table_files import Drawn
from layerscope.figures import attention, heads
from layerscope.figures.style import COLUMN


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """Two models of one block and one seed: no ceiling, no spread, no correlation."""
    folder = tmp_path_factory.mktemp("miniature")
    shapes = {"minilm": (1, 1), "gpt-mini": (1, 2)}
    files = write_study(folder, TASKS, shapes, (100,), (1,))
    return folder, tabulate(files, {m: MODELS[m] for m in shapes}, folder / "tables")


#: Curves alone, and heat maps with colour bars and texts.
DRAWN = ("scores", "attention", "confusion")


def _draw(tables: dict[str, Path], out: Path) -> list[Path]:
    """The SVG files."""
    made = [out / f"{name}.svg" for name in DRAWN]
    for svg in made:
        draw(svg.stem, tables, svg, None if svg.stem == "scores" else next(iter(TASKS)))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_each_figure_has_something_to_show(
    task: str, miniature: tuple[Path, dict[str, Path]]
) -> None:
    for each in catalogue.planned(catalogue.FIGURES, CHOSEN):
        module = import_module(f"layerscope.{each.module}")
        tables = {name: [str(miniature[1][name])] for name in each.tables}
        figure = module.figure(Drawn(tables, task if each.by_task else None))
        assert figure.axes
        if task == next(iter(TASKS)):
            figure.draw_without_rendering()


@pytest.mark.slow  # each figure is drawn and opened in the miniature study
def test_a_figure_is_three_files_and_the_same_tables_give_the_same_bytes(
    miniature: tuple[Path, dict[str, Path]], tmp_path: Path
) -> None:
    figures = _draw(miniature[1], tmp_path / "once")
    for svg in figures:
        root = ElementTree.fromstring(svg.read_text())  # noqa: S314 - our own file
        assert root.tag.endswith("svg")
        assert float(root.get("width", "").removesuffix("pt")) >= 72 * COLUMN - 1
        # Glyphs are outlines, so no font is needed to show the file.
        assert "<text" not in svg.read_text()
        pdf = svg.with_suffix(".pdf").read_bytes()
        assert pdf.startswith(b"%PDF")
        assert b"CreationDate" not in pdf
        assert b"/FontFile2" in pdf
        assert b"/Type3" not in pdf
        assert svg.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    made = {path.name for path in figures[0].parent.iterdir()}
    assert made == {f"{svg.stem}.{e}" for svg in figures for e in ("svg", "pdf", "png")}
    _draw(miniature[1], tmp_path / "again")
    for name in made:
        again = (tmp_path / "again" / name).read_bytes()
        assert again == (tmp_path / "once" / name).read_bytes(), name


def test_drawing_needs_no_model_library() -> None:
    import subprocess

    code = (
        "import sys, draw, draw_explorer\n"
        "from importlib import import_module\n"
        "from layerscope.catalogue import FIGURES\n"
        "for figure in FIGURES: import_module(f'layerscope.{figure.module}')\n"
        "print(sorted({'torch', 'transformers', 'sklearn'} & set(sys.modules)))"
    )
    scripts = Path(__file__).parents[2] / "workflow" / "scripts"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=scripts, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_attention_without_a_second_seed_has_no_ceiling(
    miniature: tuple[Path, dict[str, Path]],
) -> None:
    figure = attention.draw(rows(miniature[1], "attention", "one-nli"))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "null: other sentence" in labels
    assert "ceiling: two seeds" not in labels


@pytest.mark.slow
def test_heads_of_one_seed_have_no_ceiling_and_no_dots(
    miniature: tuple[Path, dict[str, Path]],
) -> None:
    table = rows(miniature[1], "heads", "one-nli")
    assert table["ceiling"].isna().all()
    figure = heads.draw(table)
    assert any("0: no change" in axes.get_ylabel() for axes in figure.axes)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "exceeds difference between seeds" not in labels
    with pytest.raises(UserError, match="no fine-tuned variant"):
        heads.draw(table[:0])
