"""Scores of fine-tuned models with heads masked, and with the label erased at a layer."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import METRICS, Look
from layerscope.core.measures import task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import curve, draw_curve
from layerscope.figures.style import COLUMN, GREY, layer_ticks, legend_below, models_of, styled

#: Label and look by panel, from left to right; the controls are grey.
HEADS = {
    "heads-most": ("heads changed most", Look("#D55E00", "o")),
    "heads-least": ("heads changed least", Look("#0072B2", "s")),
    "heads-random": ("random heads", Look(GREY, "^")),
}
ERASED = {
    "erased": ("label erased", Look("#009E73", "D")),
    "erased-control": ("permuted labels erased", Look(GREY, "v")),
}
PLAIN = ("as fine-tuned", Look("black", ""))


def masked(rows: pd.DataFrame, intervention: str) -> pd.DataFrame:
    """Rows of masked heads, from no head at all, which every order starts with."""
    plain = rows[rows["intervention"] == "none"].assign(share=0.0)
    return pd.concat([plain, rows[rows["intervention"] == intervention]])


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw a row of two panels a model, in the task's primary metric.

    Args:
        rows: one task's rows of the table of interventions.
    """
    models = models_of(rows)
    metric, _ = task_metrics(set(rows["metric"]))
    rows = rows[rows["metric"] == metric]
    shares = [0, *sorted(rows["share"].dropna().unique().astype(int).tolist())]
    figure = Figure(figsize=(COLUMN, 0.95 + 1.2 * len(models)), layout="constrained")
    grid = figure.subplots(len(models), 2, sharey=True, squeeze=False)
    for (left, right), model in zip(grid, models, strict=True):
        own = rows[rows["model"] == model]
        for name, (_, look) in HEADS.items():
            draw_curve(left, curve(masked(own, name), "share"), look)
        plain = own.loc[own["intervention"] == "none", "value"]
        right.axhspan(plain.min(), plain.max(), color=PLAIN[1].colour, alpha=0.1, linewidth=0)
        right.axhline(plain.mean(), color=PLAIN[1].colour, linewidth=0.8)
        for name, (_, look) in ERASED.items():
            draw_curve(right, curve(own[own["intervention"] == name], "layer"), look)
        left.set_xticks(shares)
        layer_ticks(right, 1, int(own["layer"].max()))
        left.set_title(model, loc="left")
        left.set_ylabel(METRICS[metric])
    top = grid[0, 0].get_ylim()[1]
    grid[0, 0].set_ylim(-0.04 * top, top)  # from 0, with room for the markers there
    grid[-1, 0].set_xlabel("Heads masked (%)")
    grid[-1, 1].set_xlabel("Layer after which erased")
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, label=label)
        for label, look in (*HEADS.values(), *ERASED.values(), PLAIN)
    ]
    legend_below(figure, handles, 2)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of interventions."""
    return draw(tables.table("interventions"))
