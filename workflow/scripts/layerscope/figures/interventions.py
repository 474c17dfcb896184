"""Scores of fine-tuned models with heads masked, and with the label erased at a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import METRICS
from layerscope.core.measures import task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import curve
from layerscope.figures.style import COLUMN, GREY, Row, layer_ticks, legend_below, models_of, styled


class Line(NamedTuple):
    """How an intervention is drawn."""

    label: str
    colour: str
    marker: str


#: By their panel, from left to right; the controls are grey.
HEADS = {
    "heads-most": Line("heads changed most", "#D55E00", "o"),
    "heads-least": Line("heads changed least", "#0072B2", "s"),
    "heads-random": Line("random heads", GREY, "^"),
}
ERASED = {
    "erased": Line("label erased", "#009E73", "D"),
    "erased-control": Line("permuted labels erased", GREY, "v"),
}
PLAIN = Line("as fine-tuned", "black", "")


def masked(rows: Sequence[Row], intervention: str) -> list[Row]:
    """Rows of masked heads, from no head at all, which every order starts with."""
    plain = [row | {"share": 0} for row in rows if row["intervention"] == "none"]
    return plain + [row for row in rows if row["intervention"] == intervention]


def _line(axes: Axes, rows: Sequence[Row], x: str, line: Line) -> None:
    at, mean, low, high = curve(rows, x)
    axes.fill_between(at, low, high, color=line.colour, alpha=0.18, linewidth=0)
    axes.plot(at, mean, color=line.colour, marker=line.marker)


@styled()
def draw(rows: Sequence[Row]) -> Figure:
    """Draw a row of two panels a model, in the task's primary metric.

    Args:
        rows: one task's rows of the table of interventions.
    """
    models = models_of(rows)
    metric, _ = task_metrics({row["metric"] for row in rows})
    rows = [row for row in rows if row["metric"] == metric]
    shares = [0, *sorted({row["share"] for row in rows if row["share"] is not None})]
    figure = Figure(figsize=(COLUMN, 0.95 + 1.2 * len(models)), layout="constrained")
    grid = figure.subplots(len(models), 2, sharey=True, squeeze=False)
    for (left, right), model in zip(grid, models, strict=True):
        own = [row for row in rows if row["model"] == model]
        for name, line in HEADS.items():
            _line(left, masked(own, name), "share", line)
        plain = [row["value"] for row in own if row["intervention"] == "none"]
        right.axhspan(min(plain), max(plain), color=PLAIN.colour, alpha=0.1, linewidth=0)
        right.axhline(sum(plain) / len(plain), color=PLAIN.colour, linewidth=0.8)
        for name, line in ERASED.items():
            _line(right, [row for row in own if row["intervention"] == name], "layer", line)
        left.set_xticks(shares)
        layer_ticks(right, 1, max(row["layer"] for row in own if row["layer"] is not None))
        left.set_title(model, loc="left")
        left.set_ylabel(METRICS[metric])
    top = grid[0, 0].get_ylim()[1]
    grid[0, 0].set_ylim(-0.04 * top, top)  # from 0, with room for the markers there
    grid[-1, 0].set_xlabel("Heads masked (%)")
    grid[-1, 1].set_xlabel("Layer after which erased")
    handles = [
        Line2D([], [], color=line.colour, marker=line.marker, label=line.label)
        for line in (*HEADS.values(), *ERASED.values(), PLAIN)
    ]
    legend_below(figure, handles, 2)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of interventions."""
    return draw(tables.rows("interventions"))
