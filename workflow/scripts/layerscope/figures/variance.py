"""What fine-tuned models vary by, measure by measure, and how far models are apart."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import Look, looks
from layerscope.core.measures import LEVEL
from layerscope.core.table_files import Drawn, only_path, read_frame
from layerscope.figures.style import GREY, PAGE, legend_below, model_handles, models_of, styled

#: Sources from top to bottom, and how they are labelled.
SOURCES = {
    "training seed": "training seed",
    "training sample": "training sample",
    "interaction": "both together",
    "one training": "one training",
    "test examples": "test examples",
    "probe rows": "probe rows",
}
APART = "models apart"


def _draw(axes: Axes, y: float, row: pd.Series, look: Look, filled: bool = True) -> None:
    if pd.notna(row.low):
        axes.plot([row.low, row.high], [y, y], color=look.colour, linewidth=0.9, clip_on=False)
    face = look.colour if filled else "white"
    axes.plot(
        row.value, y, look.marker, color=look.colour, markerfacecolor=face, markersize=3,
        clip_on=False,
    )  # fmt: skip


def draw_panel(axes: Axes, rows: pd.DataFrame, apart: pd.DataFrame, known: dict[str, Look]) -> None:
    """Standard deviations by source with intervals, and distances of models below.

    Args:
        rows: one measure's rows of the table of variance.
        apart: its rows of the table of differences.
        known: looks of the groups.
    """
    labels = [*SOURCES.values(), *([APART] if len(apart) else [])]
    step = 0.5 / max(len(known), 1)
    for at, source in enumerate(SOURCES):
        for place, (model, look) in enumerate(known.items()):
            own = rows[(rows["source"] == source) & (rows["model"] == model)].dropna(subset="value")
            for row in own.itertuples():
                _draw(axes, at + (place - (len(known) - 1) / 2) * step, row, look)
    for place, row in enumerate(apart.itertuples()):
        sign = math.copysign(1, row.value)
        ends = sorted((sign * row.low, sign * row.high))
        distance = pd.Series({"value": abs(row.value), "low": max(ends[0], 0.0), "high": ends[1]})
        y = len(SOURCES) + (place - (len(apart) - 1) / 2) * 0.5 / len(apart)
        _draw(axes, y, distance, Look(GREY, "D"), row.p_corrected <= LEVEL)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=4)
    axes.set_title(rows["measure"].iloc[0].replace(" view: ", " view:\n"), loc="left")


@styled()
def draw(rows: pd.DataFrame, apart: pd.DataFrame) -> Figure:
    """Draw a panel for each measure.

    Args:
        rows: one task's rows of the table of variance.
        apart: of the table of differences.
    """
    measures = list(rows["measure"].unique())
    known = looks(models_of(rows))
    lines = -(-len(measures) // 3)
    figure = Figure(figsize=(PAGE, 0.4 + 1.6 * lines), layout="constrained")
    grid = figure.subplots(lines, 3, squeeze=False, sharey=True)
    for axes in grid.flat[len(measures) :]:
        axes.remove()
    for axes, measure in zip(grid.flat, measures, strict=False):
        own, far = (each[each["measure"] == measure] for each in (rows, apart))
        draw_panel(axes, own, far, known)
    for axes in grid.flat[max(len(measures) - 3, 0) : len(measures)]:
        axes.set_xlabel("Standard deviation, or difference")
    handles = model_handles(list(known), known, "")
    if len(apart):
        mark = {"linestyle": "", "marker": "D", "color": GREY, "markersize": 3}
        handles += [
            Line2D([], [], label=f"{APART}, p ≤ {LEVEL:g}", **mark),  # type: ignore[arg-type]
            Line2D([], [], label="not significant", markerfacecolor="white", **mark),  # type: ignore[arg-type]
        ]
    legend_below(figure, handles, 4)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from both tables; where one model alone is trained again, none is apart."""
    path = only_path(tables.paths, "variance-differences")
    apart = read_frame(path, "variance-differences-table")
    return draw(tables.table("variance"), apart[apart["task"] == tables.task])
