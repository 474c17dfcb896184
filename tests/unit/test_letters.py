"""Letters that the style's font lacks are drawn in another font, or named in the log."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from matplotlib import get_data_path
from matplotlib.figure import Figure

from layerscope.figures import letters
from layerscope.figures.letters import (
    add_fallback_fonts,
    fallback_families,
    installed_letters,
    lacking,
)
from layerscope.figures.style import save, styled

HOOKED = "\u1d81"  # of matplotlib's own fonts STIXGeneral alone has it


def test_letters_of_the_style_and_those_that_are_not_drawn_are_not_lacking() -> None:
    assert lacking("α-helix, café 5 °C\n\u200b\ufeff") == frozenset()
    assert lacking("陽性 x") == {"陽", "性"}


def test_the_fewest_families_have_all_letters() -> None:
    known = {"few": [ord("a")], "most": [ord("a"), ord("b")], "other": [ord("c")], "none": []}
    assert fallback_families("abcd", known) == (["most", "other"], {"d"})
    assert fallback_families("ab", {}) == ([], {"a", "b"})


def test_matplotlib_itself_has_a_font_with_more_letters() -> None:
    assert Path(get_data_path(), "fonts", "ttf", "STIXGeneral.ttf").is_file()
    families, left = fallback_families({HOOKED}, installed_letters())
    assert families
    assert not left
    assert not any(name.startswith("Last Resort") for name in installed_letters())


def test_only_texts_that_lack_letters_get_another_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "installed_letters", lambda: {"STIXGeneral": {ord(HOOKED)}})
    with styled():
        figure = Figure()
        one, other = figure.text(0, 0, f"a{HOOKED}"), figure.text(0, 1, "a")
    assert add_fallback_fonts(figure)
    assert one.get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]
    assert other.get_fontfamily() == ["DejaVu Sans"]


def test_letters_that_no_font_has_are_named_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    monkeypatch.setattr(letters, "installed_letters", dict)
    with styled():
        figure = Figure(figsize=(2, 1))
        axes = figure.subplots()
        axes.set_yticks([0, 1], ["陽性", "陰性"])
    with caplog.at_level(logging.WARNING):
        save(figure, tmp_path / "figure.svg")
    (message,) = caplog.messages
    assert message.startswith(
        "no installed font has 性 陰 陽, drawn as boxes; a font that has them"
    )
    assert not [each for each in recwarn if "Glyph" in str(each.message)]
    assert len(list(tmp_path.iterdir())) == 3
