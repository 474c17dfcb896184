"""The figure of the importance of heads shows what is in its tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_tables import rows

from layerscope.figures import head_importance


def test_importance_is_drawn_beside_change_and_their_correlation(
    made_tables: dict[str, Path],
) -> None:
    """Heads that matter most are the last ones; two heads of a layer have no correlation."""
    table, found = (
        rows(made_tables, name, "one-nli") for name in ("head_importance", "head_correlations")
    )
    squares = (table["importance_normalised"] ** 2).groupby([table["variant"], table["model"],
               table["layer"]]).sum()  # fmt: skip
    assert list(squares) == pytest.approx([1] * len(squares))
    assert (table["importance_low"] <= table["importance"]).all()
    attention = rows(made_tables, "attention", "one-nli")
    keys = ["model", "variant", "layer", "head"]
    jsd = attention[attention["measure"] == "jsd"].set_index(keys)["value"]
    assert table.set_index(keys)["jsd"].tolist() == list(
        jsd.loc[list(table[keys].itertuples(index=False))]
    )
    figure = head_importance.draw(table, found, {"mamba": {"head importance": "no heads"}})
    importance, change, correlations = figure.axes[:2], figure.axes[2:4], figure.axes[4:6]
    assert [axes.get_title() for axes in importance] == ["minilm", "gpt-mini"]
    for line, column in ((importance, "importance_normalised"), (change, "jsd_normalised")):
        own = table[table["model"] == "gpt-mini"].groupby(["head", "layer"])[column].mean()
        np.testing.assert_allclose(line[1].images[0].get_array(), own.unstack())
    assert (np.diff(importance[1].images[0].get_array(), axis=0) > 0).all()
    assert all(len(line.get_xdata()) != 3 for line in correlations[0].lines[1:])
    by_layer = found[(found["model"] == "gpt-mini") & found["layer"].notna()]
    drawn = by_layer[by_layer["statistic"] == "importance-change"].groupby("layer")["value"].mean()
    assert list(correlations[1].lines[-1].get_ydata()) == pytest.approx(list(drawn))
    (legend,) = figure.legends
    assert "mamba: not applicable" in [text.get_text() for text in legend.get_texts()]
    without = head_importance.draw(table.assign(jsd=None), found[:0])
    assert len(without.axes) == 2 * 2 + 1
