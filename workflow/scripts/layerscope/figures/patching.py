"""What the score owes to the change of each layer: layers of before and after exchanged."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import METRICS, Look, looks
from layerscope.core.measures import task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import curve, draw_curve
from layerscope.figures.style import (
    LINES,
    PAGE,
    Missing,
    bands,
    empty,
    folded,
    legend_below,
    missing_handles,
    model_handles,
    models_of,
    share_y,
    styled,
)

#: Rows of panels: which model is patched, and how the axis calls it.
DIRECTIONS = {
    "into-finetuned": "layers of before\nin the fine-tuned model",
    "into-pretrained": "fine-tuned layers\nin the model before",
}
#: Columns: kinds of patches, and what is on their x-axes.
ONE, UP_TO, LINE = "one-layer", "up-to-layer", "line"
TITLES = {
    ONE: "one layer",
    UP_TO: "all up to a layer",
    LINE: "all layers, on a straight line",
}
DEPTH, SHARE = "Depth (layer / last layer)", "Fine-tuned share of the weights"
#: Where all layers stand beside the depth of one.
ALL = 1.15
#: The least change that axes reach to on both sides, so that next to nothing does not look large.
LEAST = 0.02


def draw_all(axes: Axes, changes: pd.Series, look: Look) -> None:
    """All layers together: mean and range over seeds, as a mark beside the curve."""
    axes.plot([ALL, ALL], [changes.min(), changes.max()], color=look.colour, linewidth=1.4)
    axes.plot([ALL], [changes.mean()], color=look.colour, marker=look.marker, linestyle="")


def draw_model(line: list[Axes], rows: pd.DataFrame, look: Look) -> None:
    """One model in a row of panels.

    Args:
        line: panels of one layer, of all up to one, and of the straight line or nothing.
        rows: of one model and direction, with those of the straight line.
    """
    of = dict(iter(rows.groupby("patch")))
    for axes, name, x in zip(line, TITLES, ("depth", "depth", "weight"), strict=True):
        if name in of and axes.axison:
            draw_curve(axes, curve(of[name], x, "change"), look, markersize=2.8)
    up_to = of[UP_TO]
    draw_all(line[0], up_to.loc[up_to["depth"] == 1, "change"], look)


def _finish(grid: npt.NDArray[np.object_], metric: str) -> None:
    """Titles, names of axes, and the line of no change."""
    for line, words in zip(grid, DIRECTIONS.values(), strict=True):
        for axes in line:
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            if axes.axison:
                axes.axhline(0, color="black", linewidth=0.8)
        line[0].set_xticks([0, 0.5, 1, ALL], ["0", "0.5", "1", "all"])
        line[0].set_ylabel(f"Change of {METRICS[metric][0].lower()}{METRICS[metric][1:]}\n{words}")
    for axes in grid[-1][:2]:
        axes.set_xlabel(DEPTH)
    for axes, title in zip(grid[0], TITLES.values(), strict=True):
        axes.set_title(title)
    grid[0][-1].set_xlabel(SHARE)


@styled()
def draw(rows: pd.DataFrame, missing: Missing = MappingProxyType({})) -> Figure:
    """Draw a row of panels for each direction, and a line for each model, in the primary metric.

    Args:
        rows: one task's rows of the table of patched models.
        missing: reasons by model and analysis for which there are no rows.
    """
    if rows.empty:
        return empty("No model whose layers can be exchanged: see the log of its jobs.")
    metric, _ = task_metrics(set(rows["metric"]))
    rows = rows[rows["metric"] == metric]
    models = models_of(rows)
    known = looks(models)
    figure, found = bands(folded(models, LINES), (PAGE, 3.9), len(DIRECTIONS), len(TITLES))
    share_y([band.grid for band in found], list(DIRECTIONS))
    for band in found:
        band.grid[1, 2].set_axis_off()  # the line has no direction
        for line, direction in zip(band.grid, DIRECTIONS, strict=True):
            chosen = rows[(rows["direction"] == direction) | (rows["patch"] == LINE)]
            for model in band.models:
                draw_model(line, chosen[chosen["model"] == model], known[model])
        _finish(band.grid, metric)
        if len(found) > 1:
            band.part.suptitle(f"{band.models[0]} to {band.models[-1]}", fontweight="bold")
    for axes in found[0].grid[:, 0]:  # whose scales all others have
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, -LEAST), max(high, LEAST))
    handles = [
        *model_handles(models, known),
        Line2D([], [], color="black", linewidth=0.8, label="the model that is patched, as it is"),
    ]
    legend_below(figure, handles + missing_handles(missing), 4)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of patched models."""
    return draw(tables.table("patching"), tables.missing("patching"))
