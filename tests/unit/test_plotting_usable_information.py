"""The figure of usable information shows what is in the tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_tables import rows

from layerscope.figures.usable_information import beside


def test_families_are_drawn_by_view_and_compression_below(made_tables: dict[str, Path]) -> None:
    """Each with its own interval; views that are no main ones are left out."""
    table = rows(made_tables, "usable_information", "one-nli").rename(columns={"family": "probe"})
    probes = rows(made_tables, "probes", "one-nli")
    coded = probes[(probes["probe"] == "linear") & (probes["metric"] == "accuracy")]
    coded = coded.assign(metric="compression", low=float("nan"), high=float("nan"))
    figure = beside(table.assign(metric="usable_information"), coded)
    labels = [axes.get_ylabel() for axes in figure.axes[::2]]
    assert labels == [
        "linear, separate\nUsable bits", "mlp, separate\nUsable bits",
        "linear, joint\nUsable bits", "mlp, joint\nUsable bits",
        "linear, separate\nCompression", "linear, joint\nCompression",
    ]  # fmt: skip
    own = table[(table["model"] == "minilm") & (table["probe"] == "mlp")]
    own = own[(own["view"] == "separate") & (own["variant"] == "f100")]
    drawn = figure.axes[2].lines[3]
    assert list(drawn.get_ydata()) == pytest.approx(list(own["value"]))
    assert list(figure.axes[2].lines[4].get_ydata()) == [0, 0]
    assert len(beside(table.assign(metric="usable_information"), probes).axes) == 8
