"""How much each attention head changes, and in what."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from layerscope.core.errors import UserError
from layerscope.core.table_files import Drawn
from layerscope.figures.attention import grid_of
from layerscope.figures.style import (
    COLUMNS,
    GREY,
    Band,
    Missing,
    bands,
    empty,
    folded,
    layer_ticks,
    legend_below,
    missing_handles,
    models_of,
    name_columns,
    percents_of,
    share_y,
    styled,
    width_for,
)

#: Properties whose change is drawn, and the label of the axis.
CHANGES = {
    "entropy": "Entropy\n(change, bits)",
    "special": "Special tokens\n(change, fraction)",
    "first": "First token\n(change, fraction)",
}
_LINE, _HEAD = "#0072B2", "#E69F00"


def beyond_seeds(rows: pd.DataFrame) -> pd.Series:
    """1 if a head's change lies above the difference of two seeds, intervals apart, else 0."""
    beyond = (rows["jsd_low"] > rows["ceiling_high"]).astype(float)
    return beyond.where(rows["jsd_low"].notna() & rows["ceiling_high"].notna())


def changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Columns of `CHANGES`: each property after fine-tuning minus before."""
    return pd.DataFrame({name: rows[name] - rows[f"{name}_before"] for name in CHANGES})


@styled()
def draw(rows: pd.DataFrame, missing: Missing = MappingProxyType({})) -> Figure:
    """Draw one column per model: a heat map of `moved`, then changes by layer.

    Args:
        rows: one task's rows of the table of heads; the largest percent is drawn.
        missing: reasons by model and analysis for which there are no rows.

    Raises:
        UserError: there are none.
    """
    if rows.empty and missing:
        return empty("Not applicable: no model here has attention maps.")
    if rows.empty:
        raise UserError("heads: no fine-tuned variant is compared; allowed: one or more")
    percent = percents_of(rows)[-1]
    rows = rows[rows["percent"] == percent]
    models = models_of(rows)
    groups = folded(models, COLUMNS)
    size = (width_for(len(groups[0])), 5.4)
    heights = [1.5, *[1] * len(CHANGES)]
    figure, found = bands(groups, size, len(heights), sharex="col", height_ratios=heights)
    share_y([band.grid[1:] for band in found], list(CHANGES))
    known = rows["ceiling"].notna().any()
    dots = sum(_band(band, rows, "two seeds" if known else "no change") for band in found)
    dot: dict[str, Any] = {"linestyle": "", "markeredgewidth": 0}
    handles = [
        Line2D(
            [], [], color=_LINE, marker="s", markersize=2.6, label=f"mean of heads ({percent} %)"
        ),
        Line2D([], [], marker="o", markersize=2.6, color=_HEAD, label="one head", **dot),
    ]  # fmt: skip
    if dots:
        label = "exceeds difference between seeds"
        handles.append(Line2D([], [], marker=".", color="black", label=label, **dot))
    handles += missing_handles(missing, "attention")
    legend_below(figure, handles, 2 if len(models) <= 2 else 3)
    return figure


def _band(band: Band, rows: pd.DataFrame, zero: str) -> int:
    """The panels of a band, `zero` naming what a change of 0 is; how many heads have a dot."""
    marked = 0
    for column, model in zip(band.grid.T, band.models, strict=True):
        own = rows[rows["model"] == model]
        changed = own[["layer", "head"]].join(changes(own))
        image, dots = _heat_map(column[0], own)
        marked += dots
        for axes, name in zip(column[1:], CHANGES, strict=True):
            _changes(axes, grid_of(changed, name))
        layer_ticks(column[-1], own["layer"].min(), own["layer"].max())
    name_columns(band, "Layer")
    band.part.colorbar(
        image, ax=list(band.grid[0]), fraction=0.05, pad=0.015, aspect=12,
        label=f"Relative change\n(0: {zero}, 1: other head)",
    )  # fmt: skip
    for axes, label in zip(band.grid[:, 0], ("Head", *CHANGES.values()), strict=True):
        axes.set_ylabel(label)
    band.part.align_ylabels(list(band.grid[:, 0]))
    return marked


def _heat_map(axes: Axes, rows: pd.DataFrame) -> tuple[AxesImage, int]:
    """`moved` of one model by layer and head; the image, and how many heads have a dot."""
    grid = grid_of(rows, "moved")
    values, heads, (first, last) = grid.to_numpy(), len(grid), grid.columns[[0, -1]]
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#dddddd")
    image = axes.imshow(
        values, aspect="auto", cmap="cividis_r", vmin=0, vmax=1, interpolation="nearest",
        extent=(first - 0.5, last + 0.5, heads - 0.5, -0.5),
    )  # fmt: skip
    axes.set_yticks(range(0, heads, max(1, -(-heads // 4))))
    head, layer = np.nonzero(grid_of(rows.assign(beyond=beyond_seeds(rows)), "beyond") == 1)
    dark = values[head, layer] > 0.5
    for colour, chosen in (("black", ~dark), ("white", dark)):
        at = (layer[chosen] + first, head[chosen])
        axes.plot(*at, linestyle="", marker=".", markersize=2.6, color=colour)
    return image, len(head)


def _changes(axes: Axes, values: pd.DataFrame) -> None:
    """A point a head and layer, and the line of their means."""
    layers = values.columns
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.plot(
        np.broadcast_to(layers, values.shape).ravel(), values.to_numpy().ravel(), linestyle="",
        marker="o", markersize=2.2, markeredgewidth=0, color=_HEAD, alpha=0.8,
    )  # fmt: skip
    if values.notna().any().all():
        axes.plot(layers, values.mean(), color=_LINE, marker="s", markersize=2.6)


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of heads."""
    return draw(tables.table("heads"), tables.missing("heads"))
