"""Which models differ on the same test examples."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import METRICS
from layerscope.core.measures import BASELINES, LEVEL
from layerscope.core.table_files import Drawn
from layerscope.figures.style import COLUMN, GREY, legend_below, styled

TOLD, NOT_TOLD = "#0072B2", GREY


def shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Pairs of models, and each model with the bag of words; other baselines say less."""
    left_out = set(BASELINES) - {"bag-of-words"}
    return rows[~rows[["model", "other"]].isin(left_out).any(axis=1) & rows["value"].notna()]


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw a line a pair: the difference with its interval, filled where Holm's p is below 0.05.

    Args:
        rows: one task's rows of the table of differences.
    """
    chosen = shown(rows)
    figure = Figure(figsize=(COLUMN, 1.0 + 0.2 * len(chosen)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.6)
    for place, row in enumerate(chosen.itertuples()):
        told = row.holm < LEVEL
        colour = TOLD if told else NOT_TOLD
        axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.2)
        axes.plot(
            [row.value], [place], marker="o" if told else "s", color=colour, linestyle="",
            markerfacecolor=colour if told else "white",
        )  # fmt: skip
    axes.set_yticks(range(len(chosen)), chosen["other"] + " − " + chosen["model"])
    axes.set_ylim(len(chosen) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    if len(chosen):
        axes.set_xlabel(f"Δ {METRICS[chosen['metric'].iloc[0]]}")
    handles = [
        Line2D([], [], color=TOLD, marker="o", label="told apart (Holm, 0.05)"),
        Line2D([], [], color=NOT_TOLD, marker="s", markerfacecolor="white", label="not told apart"),
    ]
    legend_below(figure, handles, 2)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of differences."""
    return draw(tables.table("significance"))
