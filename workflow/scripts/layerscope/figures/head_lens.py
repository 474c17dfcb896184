"""How a fine-tuned model's head answers from each layer."""

from __future__ import annotations

from types import MappingProxyType

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import METRICS, Look
from layerscope.core.measures import task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import curve, draw_curve
from layerscope.figures.style import (
    COLUMNS,
    GREY,
    Missing,
    bands,
    folded,
    layer_ticks,
    legend_below,
    missing_handles,
    models_of,
    name_columns,
    share_y,
    styled,
    width_for,
)

#: Label and look of each lens; the control is grey.
LENSES = {
    "plain": ("plain: layer as it is", Look("#0072B2", "o")),
    "tuned": ("tuned: mapped to last layer", Look("#D55E00", "s")),
    "shuffled": ("control: shuffled rows", Look(GREY, "^")),
}
OWN = ("the model itself", Look("black", ""))


def draw_panel(axes: Axes, rows: pd.DataFrame) -> None:
    """One line per lens by layer; of a score the model's own too. With ranges over seeds.

    Args:
        rows: of one model and metric.
    """
    own = rows.loc[rows["lens"] == "none", "value"]
    if len(own):
        axes.axhspan(own.min(), own.max(), color=OWN[1].colour, alpha=0.1, linewidth=0)
        axes.axhline(own.mean(), color=OWN[1].colour, linewidth=0.8)
    by_layer = rows.dropna(subset="layer")
    for lens, (_, look) in LENSES.items():
        points = curve(by_layer[by_layer["lens"] == lens], "layer")
        behind = {"zorder": 1.8} if lens == "shuffled" else {}
        draw_curve(axes, points, look, markersize=2.4, **behind)
    if len(by_layer):
        layer_ticks(axes, 0, int(by_layer["layer"].max()))
    else:
        axes.set_xticks([])


@styled()
def draw(rows: pd.DataFrame, missing: Missing = MappingProxyType({})) -> Figure:
    """Draw one column per model; the task's primary metric above, agreement below.

    Args:
        rows: one task's rows of the table of the head lens.
        missing: reasons by model and analysis for which there are no layers.
    """
    models = models_of(rows)
    score, _ = task_metrics(set(rows["metric"]))
    measures = {score: METRICS[score], "agreement": "Agreement with\nthe model itself"}
    panels = dict(iter(rows.groupby(["model", "metric"])))
    groups = folded(models, COLUMNS)
    size = (width_for(len(groups[0])), 0.9 + 1.15 * len(measures))
    figure, found = bands(groups, size, len(measures), sharex="col")
    share_y([band.grid for band in found], list(measures))
    for band in found:
        for line, (metric, label) in zip(band.grid, measures.items(), strict=True):
            for axes, model in zip(line, band.models, strict=True):
                draw_panel(axes, panels.get((model, metric), rows.iloc[:0]))
            line[0].set_ylabel(label)
        name_columns(band, "Layer (0: embeddings)")
    for axes in found[0].grid[:, 0]:
        axes.set_ylim(bottom=0)
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, markersize=2.4, label=label)
        for label, look in (*LENSES.values(), OWN)
    ] + missing_handles(missing, "head lens")
    legend_below(figure, handles, 2 if len(groups[0]) <= 2 else 4)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of the head lens."""
    return draw(tables.table("head_lens"), tables.missing("head_lens"))
