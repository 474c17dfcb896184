"""How similar models are to each other at equal relative depth."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.encodings import main_views
from layerscope.core.looks import METRICS, looks
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import curve, draw_curve
from layerscope.figures.style import legend_below, styled, width_for


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw one column per training fraction, one row per view, one line per pair of models.

    Args:
        rows: one task's rows of the table of models.
    """
    views = main_views(rows["view"])
    percents = sorted(rows["percent"].unique())
    pairs = list(rows[["model", "other"]].drop_duplicates().itertuples(index=False, name=None))
    panels = dict(iter(rows.groupby(["view", "percent", "model", "other"])))
    known = looks([f"{model}, {other}" for model, other in pairs])
    figure = Figure(
        figsize=(width_for(len(percents)), 1.1 + 1.3 * len(views)), layout="constrained"
    )
    grid = figure.subplots(len(views), len(percents), sharex=True, sharey=True, squeeze=False)
    for line, view in zip(grid, views, strict=True):
        for axes, percent in zip(line, percents, strict=True):
            for (model, other), look in zip(pairs, known.values(), strict=True):
                own = panels.get((view, percent, model, other), rows.iloc[:0])
                draw_curve(axes, curve(own, "depth"), look, markersize=2.8)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        line[0].set_ylabel(METRICS["cka"] + (f"\n{view}" if view != "word" else ""))
    for axes, percent in zip(grid[0], percents, strict=True):
        axes.set_title(f"fine-tuned on {percent} %" if percent else "pre-trained")
    for axes in grid[-1]:
        axes.set_xlabel("Depth (layer / last layer)")
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, label=name)
        for name, look in known.items()
    ]
    legend_below(figure, handles, 2)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of models."""
    return draw(tables.table("cross_model_similarity"))
