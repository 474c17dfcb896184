"""How far fine-tuning moves the weights of each block, and in how many directions."""

from __future__ import annotations

from types import MappingProxyType

import pandas as pd
from matplotlib.figure import Figure

from layerscope.core.looks import looks
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import curve, draw_curve
from layerscope.figures.style import (
    LINES,
    Missing,
    bands,
    folded,
    legend_below,
    missing_handles,
    model_handles,
    models_of,
    name_fractions,
    percents_of,
    share_y,
    styled,
    width_for,
)

#: Rows of panels: measure and what the matrices are for, and how the axis calls them.
PANELS = {
    ("relative_change", "all"): "Relative change\nall matrices",
    ("relative_change", "attention"): "Relative change\nattention",
    ("relative_change", "feed-forward"): "Relative change\nfeed-forward",
    ("spectral_change", "all"): "Spectral change\nall matrices",
    ("stable_rank", "all"): "Stable rank\nof the change",
}


@styled()
def draw(rows: pd.DataFrame, missing: Missing = MappingProxyType({})) -> Figure:
    """Draw one column per training fraction, one row per measure and kind of
    matrix, one line per model.

    Args:
        rows: one task's rows of the table of changes of weights.
        missing: reasons by model and analysis for which there are no rows.
    """
    if rows.empty:
        figure = Figure(figsize=(width_for(1), 0.8))
        figure.text(0.02, 0.5, "No model whose weights can be compared: see the log of its part.")
        return figure
    percents = percents_of(rows)
    known = looks(models_of(rows))
    panels = dict(iter(rows.groupby(["measure", "matrices", "percent", "model"])))
    size = (width_for(len(percents)), 0.8 + 1.15 * len(PANELS))
    figure, found = bands(folded(list(known), LINES), size, len(PANELS), len(percents), sharex=True)
    share_y([band.grid for band in found], [measure for measure, _ in PANELS])
    for band in found:
        for line, (shown, label) in zip(band.grid, PANELS.items(), strict=True):
            for axes, percent in zip(line, percents, strict=True):
                for model in band.models:
                    own = panels.get((*shown, percent, model), rows.iloc[:0])
                    draw_curve(axes, curve(own, "depth"), known[model], markersize=2.8)
            line[0].set_ylabel(label)
    name_fractions(found, [f"fine-tuned on {percent} %" for percent in percents])
    for axes in found[0].grid[[0, 3, 4], 0]:
        axes.set_ylim(bottom=0)
    handles = model_handles(list(known), known) + missing_handles(missing, "change of weights")
    legend_below(figure, handles, 2 if len(percents) <= 2 else 4)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of changes of weights."""
    return draw(tables.table("weight_change"), tables.missing("weight_change"))
