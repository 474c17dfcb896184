"""Our scores beside published ones."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.core.looks import METRICS, Look
from layerscope.core.table_files import Drawn
from layerscope.figures.style import COLUMN, GREY, legend_below, styled

#: The model of a row that holds for all of ours: its published value is a bound.
ANY = "any"
BAND = "#d4d4d4"
_AGREES = Look("#0072B2", "o")
_LOOKS = {
    "agrees": _AGREES,
    "below": Look("#D55E00", "v"),
    "above": Look("#D55E00", "^"),
    "inconclusive": Look("black", "s"),
}
_OTHER = Look(GREY, "D")  # drawn for comparison, judged by nobody


def panels_of(rows: pd.DataFrame) -> dict[tuple[str, str, int], pd.DataFrame]:
    """Rows by task, metric and percent, in the order of the table."""
    return dict(iter(rows.groupby(["task", "metric", "percent"], sort=False)))


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """The scale that holds all bands and intervals, with some air."""
    published, tolerance = rows["published"], rows["tolerance"]
    ours = (rows[name] for name in ("value", "low", "high"))
    marks = pd.concat([published - tolerance, published + tolerance, *ours])
    low, high = marks.min(), marks.max()
    air = max(0.08 * (high - low), 0.01)
    return low - air, high + air


def _draw_row(axes: Axes, place: int, row: Any) -> None:
    """Band, published value, and ours on one line of a panel."""
    first = axes.get_xlim()[0] if row.model == ANY else row.published - row.tolerance
    width = row.published + row.tolerance - first
    axes.barh(place, width, left=first, height=0.62, color=BAND, zorder=1)
    reach = [place - 0.31, place + 0.31]
    axes.plot([row.published] * 2, reach, color="black", linewidth=0.9, zorder=2)
    if pd.isna(row.value):
        return
    look = _LOOKS.get(row.verdict, _OTHER)
    if pd.notna(row.low) and pd.notna(row.high):
        axes.plot([row.low, row.high], [place] * 2, color=look.colour, zorder=3)
    axes.plot([row.value], [place], color=look.colour, marker=look.marker, zorder=4)


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw a panel a task, metric and percent, and a line a reference, its verdict at the right.

    Args:
        rows: the table of verdicts.
    """
    panels = panels_of(rows)
    heights = [len(chosen) for chosen in panels.values()]
    size = (COLUMN, 0.55 + 0.48 * len(panels) + 0.19 * sum(heights))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, ((task, metric, percent), chosen) in zip(grid, panels.items(), strict=True):
        axes.set_xlim(_limits(chosen))
        axes.set_ylim(len(chosen) - 0.5, -0.5)
        for place, row in enumerate(chosen.itertuples()):
            _draw_row(axes, place, row)
            axes.text(
                1.02, place, row.verdict, transform=axes.get_yaxis_transform(), va="center",
                fontsize=6.5, color=_LOOKS.get(row.verdict, _OTHER).colour,
            )  # fmt: skip
        names = ["any of ours, at most" if model == ANY else model for model in chosen["model"]]
        axes.set_yticks(range(len(chosen)), names)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.locator_params(axis="x", nbins=5)
        axes.set_title(f"{task}: {METRICS[metric]}, {percent} % of the training data", loc="left")
    legend_below(
        figure,
        [
            Patch(color=BAND, label="tolerance"),
            Line2D([], [], color="black", linewidth=0.9, marker="|", linestyle="", markersize=7,
                   label="published"),
            Line2D([], [], color=_AGREES.colour, marker=_AGREES.marker,
                   label="ours, 90 % interval"),
        ],
        3,
    )  # fmt: skip
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of verdicts."""
    return draw(tables.table("reproduction"))
