"""How far each attention head has moved, and what of its attention has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from layerscope.core.errors import UserError
from layerscope.core.table_files import Drawn
from layerscope.figures.attention import grid_of
from layerscope.figures.style import (
    GREY,
    Row,
    layer_ticks,
    legend_below,
    models_of,
    percents_of,
    share_y,
    styled,
    width_for,
)

#: Properties whose change is drawn, and the label of the axis.
CHANGES = {
    "entropy": "Entropy\n(change, bits)",
    "special": "On special tokens\n(change of share)",
    "first": "On first token\n(change of share)",
}
_LINE, _HEAD = "#0072B2", "#E69F00"


def grid(
    rows: Sequence[Row], value: Callable[[Row], float | None]
) -> tuple[npt.NDArray[np.float64], int]:
    """Mean over seeds of a value of each row as heads x layers, NaN where there is none.

    Args:
        rows: of one model and percent.
        value: of a row of the table of heads.

    Returns:
        The array, and its first layer.
    """
    values = [row | {"measure": "", "value": np.nan if (v := value(row)) is None else v}
              for row in rows]  # fmt: skip
    return grid_of(values, "")


def beyond_seeds(row: Row) -> float | None:
    """1 if a head differs from before by more than two seeds do, its intervals apart, else 0."""
    if None in (row["jsd_low"], row["ceiling_high"]):
        return None
    return float(row["jsd_low"] > row["ceiling_high"])


def change(name: str) -> Callable[[Row], float | None]:
    """A property after fine-tuning less the same before."""

    def of(row: Row) -> float | None:
        after, before = row[name], row[f"{name}_before"]
        return None if None in (after, before) else after - before

    return of


@styled()
def draw(rows: Sequence[Row]) -> Figure:
    """Draw a column a model: a heat map of `moved`, then changes by layer.

    Args:
        rows: one task's rows of the table of heads; the largest percent is drawn.

    Raises:
        UserError: there are none.
    """
    if not rows:
        raise UserError("heads: no fine-tuned variant is compared; allowed: one or more")
    percent = percents_of(rows)[-1]
    rows = [row for row in rows if row["percent"] == percent]
    models = models_of(rows)
    figure = Figure(figsize=(width_for(len(models)), 5.4), layout="constrained")
    panels = figure.subplots(
        1 + len(CHANGES), len(models), sharex="col", squeeze=False, height_ratios=[1.5, 1, 1, 1]
    )
    share_y(panels[1:], list(CHANGES))
    known = any(row["ceiling"] is not None for row in rows)
    marked = False
    for column, model in zip(panels.T, models, strict=True):
        own = [row for row in rows if row["model"] == model]
        column[0].set_title(model)
        image, dots = _heat_map(column[0], own)
        marked |= dots > 0
        for axes, name in zip(column[1:], CHANGES, strict=True):
            _changes(axes, *grid(own, change(name)))
        layer_ticks(column[-1], min(r["layer"] for r in own), max(r["layer"] for r in own))
        column[-1].set_xlabel("Layer")
    figure.colorbar(
        image, ax=list(panels[0]), fraction=0.05, pad=0.015, aspect=12,
        label=f"Moved\n(0: {'two seeds' if known else 'nothing'}, 1: other head)",
    )  # fmt: skip
    panels[0, 0].set_ylabel("Head")
    for axes, label in zip(panels[1:, 0], CHANGES.values(), strict=True):
        axes.set_ylabel(label)
    figure.align_ylabels(panels[:, 0])
    dot: dict[str, Any] = {"linestyle": "", "markeredgewidth": 0}
    handles = [
        Line2D(
            [], [], color=_LINE, marker="s", markersize=2.6, label=f"mean of heads ({percent} %)"
        ),
        Line2D([], [], marker="o", markersize=2.6, color=_HEAD, label="a head", **dot),
    ]  # fmt: skip
    if marked:
        label = "more than between two seeds"
        handles.append(Line2D([], [], marker=".", color="black", label=label, **dot))
    legend_below(figure, handles, 2 if len(models) <= 2 else 3)
    return figure


def _heat_map(axes: Axes, rows: Sequence[Row]) -> tuple[AxesImage, int]:
    """`moved` of one model by layer and head; the image, and how many heads have a dot."""
    values, first = grid(rows, lambda row: row["moved"])
    heads, layers = values.shape
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#dddddd")
    image = axes.imshow(
        values, aspect="auto", cmap="cividis_r", vmin=0, vmax=1, interpolation="nearest",
        extent=(first - 0.5, first + layers - 0.5, heads - 0.5, -0.5),
    )  # fmt: skip
    axes.set_yticks(range(0, heads, max(1, -(-heads // 4))))
    head, layer = np.nonzero(grid(rows, beyond_seeds)[0] == 1)  # in every seed
    dark = values[head, layer] > 0.5
    for colour, chosen in (("black", ~dark), ("white", dark)):
        at = (layer[chosen] + first, head[chosen])
        axes.plot(*at, linestyle="", marker=".", markersize=2.6, color=colour)
    return image, len(head)


def _changes(axes: Axes, values: npt.NDArray[np.float64], first: int) -> None:
    """A point a head and layer, and the line of their means."""
    layers = np.arange(first, first + values.shape[1])
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.plot(
        np.broadcast_to(layers, values.shape).ravel(), values.ravel(), linestyle="", marker="o",
        markersize=2.2, markeredgewidth=0, color=_HEAD, alpha=0.8,
    )  # fmt: skip
    if np.isfinite(values).any(axis=0).all():
        axes.plot(layers, np.nanmean(values, axis=0), color=_LINE, marker="s", markersize=2.6)


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of heads."""
    return draw(tables.rows("heads"))
