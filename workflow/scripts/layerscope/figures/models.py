"""How similar models are to each other at equal relative depth."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.encodings import main_views
from layerscope.core.looks import METRICS, looks
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import curve
from layerscope.figures.style import Row, legend_below, styled, width_for


@styled()
def draw(rows: Sequence[Row]) -> Figure:
    """Draw a column a share of training data, a row a view, and a line a pair of models.

    Args:
        rows: one task's rows of the table of models.
    """
    views = main_views([row["view"] for row in rows])
    percents = sorted({row["percent"] for row in rows})
    pairs = list(dict.fromkeys((row["model"], row["other"]) for row in rows))
    known = looks([f"{model}, {other}" for model, other in pairs])
    figure = Figure(
        figsize=(width_for(len(percents)), 1.1 + 1.3 * len(views)), layout="constrained"
    )
    grid = figure.subplots(len(views), len(percents), sharex=True, sharey=True, squeeze=False)
    for line, view in zip(grid, views, strict=True):
        for axes, percent in zip(line, percents, strict=True):
            for (model, other), look in zip(pairs, known.values(), strict=True):
                chosen = [
                    row
                    for row in rows
                    if (row["view"], row["percent"], row["model"], row["other"])
                    == (view, percent, model, other)
                ]
                x, mean, low, high = curve(chosen, "depth")
                axes.fill_between(x, low, high, color=look.colour, alpha=0.18, linewidth=0)
                axes.plot(x, mean, color=look.colour, marker=look.marker, markersize=2.8)
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
    return draw(tables.rows("models"))
