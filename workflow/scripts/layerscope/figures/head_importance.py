"""How much the loss depends on each attention head, and whether such heads change more."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from layerscope.core.looks import Look
from layerscope.core.table_files import Drawn
from layerscope.figures.attention import grid_of
from layerscope.figures.curves import curve, draw_curve
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
    share_y,
    styled,
    width_for,
)

#: Label and look of what is correlated over the heads of a layer.
CORRELATED = {
    "importance-change": ("importance and change", Look("#D55E00", "o")),
    "importance-seeds": ("importance, two seeds", Look("#0072B2", "s")),
    "change-seeds": ("change, two seeds", Look(GREY, "^")),
}


#: Columns that are drawn as heat maps, and the labels of their axes.
MAPS = {"importance_normalised": "Importance\nof head", "jsd_normalised": "Change (JSD)\nof head"}


def _heat_map(axes: Axes, rows: pd.DataFrame, shown: str) -> AxesImage:
    """One model's heads by layer, means over seeds; grey where there is no value."""
    grid = grid_of(rows, shown)
    heads, (first, last) = len(grid), grid.columns[[0, -1]]
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#dddddd")
    axes.set_yticks(range(0, heads, max(1, -(-heads // 4))))
    return axes.imshow(
        grid.to_numpy(float), aspect="auto", cmap="cividis_r", vmin=0, vmax=1,
        interpolation="nearest", extent=(first - 0.5, last + 0.5, heads - 0.5, -0.5),
    )  # fmt: skip


def _correlations(axes: Axes, rows: pd.DataFrame) -> None:
    """A line for each of `CORRELATED` by layer, with the range over seeds or pairs of them."""
    axes.axhline(0, color=GREY, linewidth=0.6)
    by_layer = rows[rows["seed"].notna() & rows["layer"].notna()]
    for name, (_, look) in reversed(CORRELATED.items()):
        points = curve(by_layer[by_layer["statistic"] == name], "layer")
        alpha = 0.18 if name == "importance-change" else 0.08
        draw_curve(axes, points, look, alpha, markersize=2.4)


def _band(band: Band, rows: pd.DataFrame, correlated: pd.DataFrame, maps: Sequence[str]) -> None:
    """The panels of a band, a column per model."""
    for column, model in zip(band.grid.T, band.models, strict=True):
        own = rows[rows["model"] == model]
        for axes, shown in zip(column[:-1], maps, strict=True):
            image = _heat_map(axes, own, shown)
        _correlations(column[-1], correlated[correlated["model"] == model])
        layer_ticks(column[-1], own["layer"].min(), own["layer"].max())
    name_columns(band, "Layer")
    band.part.colorbar(
        image, ax=band.grid[:-1].ravel().tolist(), fraction=0.05, pad=0.015, aspect=12 * len(maps),
        label="Normalised within layer (L2)",
    )  # fmt: skip
    for axes, shown in zip(band.grid[:-1, 0], maps, strict=True):
        axes.set_ylabel(MAPS[shown])
    band.grid[-1, 0].set_ylabel("Spearman ρ\nover heads")
    band.part.align_ylabels(list(band.grid[:, 0]))


@styled()
def draw(
    rows: pd.DataFrame, correlated: pd.DataFrame, missing: Missing = MappingProxyType({})
) -> Figure:
    """Draw one column per model: maps of importance and of change, then correlations by layer.

    Args:
        rows: one task's rows of the table of importance.
        correlated: its rows of the table of correlations.
        missing: reasons by model and analysis for which there are no rows.
    """
    if rows.empty:
        return empty("Not applicable: no model here has attention heads with gradients.")
    maps = list(MAPS) if rows["jsd"].notna().any() else list(MAPS)[:1]
    groups = folded(models_of(rows), COLUMNS)
    heights = [1.0] * len(maps) + [1.1]
    size = (width_for(len(groups[0])), 0.8 + 1.2 * len(heights))
    figure, found = bands(groups, size, len(heights), sharex="col", height_ratios=heights)
    share_y([band.grid[-1:] for band in found], ["correlation"])
    for band in found:
        _band(band, rows, correlated, maps)
    found[0].grid[-1, 0].set_ylim(-1.05, 1.05)
    known = set(correlated.loc[correlated["value"].notna(), "statistic"])
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, markersize=2.4, label=label)
        for name, (label, look) in CORRELATED.items()
        if name in known
    ] + missing_handles(missing, "head importance")
    if handles:
        legend_below(figure, handles, 2 if len(groups[0]) <= 2 else 3)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the tables of importance and of correlations."""
    return draw(
        tables.table("head_importance"),
        tables.table("head_correlations"),
        tables.missing("head_importance"),
    )
