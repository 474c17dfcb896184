"""The figure of the head lens shows what is in the table."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_tables import rows

from layerscope.figures import head_lens


def test_the_head_lens_is_drawn_beside_the_model_itself(made_tables: dict[str, Path]) -> None:
    """Models side by side, score above agreement; one that has no layers keeps its own score."""
    table = rows(made_tables, "head_lens", "one-ner")
    unfit = (table["model"] == "gpt-mini") & table["layer"].notna()
    figure = head_lens.draw(table[~unfit], {"gpt-mini": {"head lens": "no blocks"}})
    scores, agreement = figure.axes[:2], figure.axes[2:]
    assert [axes.get_title() for axes in scores] == ["minilm", "gpt-mini"]
    own = table[(table["model"] == "minilm") & (table["metric"] == "entity_f1")]
    itself, *lines = scores[0].lines
    assert list(itself.get_ydata()) == pytest.approx(
        [own.loc[own["lens"] == "none", "value"].mean()] * 2
    )
    for line, lens in zip(lines, head_lens.LENSES, strict=True):
        drawn = own[own["lens"] == lens].groupby("layer")["value"].mean()
        assert list(line.get_ydata()) == pytest.approx(list(drawn))
        assert list(line.get_xdata()) == list(range(4))
    assert agreement[0].lines[0].get_ydata()[-1] == 1
    assert [len(line.get_xdata()) for line in scores[1].lines] == [2, 0, 0, 0]
    (legend,) = figure.legends
    assert "gpt-mini: not applicable" in [text.get_text() for text in legend.get_texts()]
