"""Which models, baselines and training fractions differ on the same test examples."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import METRICS
from layerscope.core.measures import BASELINES, LEVEL
from layerscope.core.table_files import Drawn
from layerscope.figures.style import COLUMN, GREY, legend_below, styled

DIFFERENT, SIMILAR = "#0072B2", GREY


def panels_of(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by what is compared, each with a `label`; comparisons that the study lacks left out."""
    rows = rows[rows["value"].notna()]
    gain = rows["model"] == rows["other"]
    baseline = rows["model"].isin(BASELINES)
    fractions = rows["other_percent"].astype(str) + " % − " + rows["percent"].astype(str) + " %"
    rows = rows.assign(
        label=(rows["other"] + " − " + rows["model"]).where(~gain, rows["other"] + ": " + fractions)
    )
    found = {
        "Between models": rows[~gain & ~baseline],
        "Models and baselines": rows[baseline],
        "More training data": rows[gain],
    }
    return {title: chosen for title, chosen in found.items() if len(chosen)}


def _draw_panel(axes: Axes, rows: pd.DataFrame, title: str) -> None:
    """A line for each comparison, filled where Holm's p is below 0.05."""
    axes.axvline(0, color="black", linewidth=0.6)
    for place, row in enumerate(rows.itertuples()):
        told = row.holm < LEVEL
        colour = DIFFERENT if told else SIMILAR
        if pd.notna(row.low):
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.2)
        axes.plot(
            [row.value], [place], marker="o" if told else "s", color=colour, linestyle="",
            markerfacecolor=colour if told else "white",
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), rows["label"])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(title, loc="left")
    axes.grid(visible=False, axis="y")


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw a panel for each kind of comparison, and a line for each: difference and interval.

    Args:
        rows: one task's rows of the table of differences.
    """
    panels = panels_of(rows)
    heights = [len(chosen) for chosen in panels.values()] or [1]
    size = (COLUMN, 0.8 + 0.3 * len(heights) + 0.16 * sum(heights))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights, sharex=True)
    for axes, (title, chosen) in zip(grid[:, 0], panels.items(), strict=False):
        _draw_panel(axes, chosen, title)
    if panels:
        grid[-1, 0].set_xlabel(f"Δ {METRICS[rows['metric'].iloc[0]]}")
    handles = [
        Line2D([], [], color=DIFFERENT, marker="o", label="significant difference"),
        Line2D([], [], color=SIMILAR, marker="s", markerfacecolor="white",
               label="no significant difference"),
    ]  # fmt: skip
    legend_below(figure, handles, 2)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of differences."""
    return draw(tables.table("significance"))
