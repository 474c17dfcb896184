"""How similar models are to each other at equal relative depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.encodings import main_views
from layerscope.core.looks import METRICS, looks
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import curve, draw_curve
from layerscope.figures.style import LINES, PAGE, legend_below, styled, width_for


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw one column per training fraction, one row per view, one line per pair of models.

    Of more pairs than there are looks, each is a strip of colours instead, the most alike on top.

    Args:
        rows: one task's rows of the table of models.
    """
    views = main_views(rows["view"])
    percents = sorted(rows["percent"].unique())
    pairs = list(rows[["model", "other"]].drop_duplicates().itertuples(index=False, name=None))
    if len(pairs) > LINES:
        return _strips(rows[rows["view"].isin(views)], views, percents)
    panels = dict(iter(rows.groupby(["view", "percent", "model", "other"])))
    known = looks([f"{model}, {other}" for model, other in pairs])
    figure = Figure(
        figsize=(width_for(len(percents)), 1.1 + 1.3 * len(views)), layout="constrained"
    )
    grid = figure.subplots(len(views), len(percents), sharex=True, sharey=True, squeeze=False)
    for line, view in zip(grid, views, strict=True):
        for axes, percent in zip(line, percents, strict=True):
            for (model, other), look in zip(pairs, known.values(), strict=True):
                own = panels.get((view, percent, model, other), rows.iloc[:0])
                draw_curve(axes, curve(own, "depth"), look, markersize=2.8)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        line[0].set_ylabel(METRICS["cka"] + (f"\n{view}" if view != "word" else ""))
    _name(grid, percents)
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, label=name)
        for name, look in known.items()
    ]
    legend_below(figure, handles, 2)
    return figure


def _name(grid: npt.NDArray[np.object_], percents: Sequence[int]) -> None:
    """Training fractions above the columns, depth below."""
    for axes, percent in zip(grid[0], percents, strict=True):
        axes.set_title(f"fine-tuned on {percent} %" if percent else "pre-trained")
    for axes in grid[-1]:
        axes.set_xlabel("Depth (layer / last layer)")


def _strips(rows: pd.DataFrame, views: Sequence[str], percents: Sequence[int]) -> Figure:
    """Mean over seeds by pair and depth as colours; pairs by their mean over all that is drawn."""
    mean = rows.groupby(["model", "other"])["value"].mean().sort_values(ascending=False)
    panels = dict(iter(rows.groupby(["view", "percent"])))
    low, high = min(0, rows["value"].min()), max(1, rows["value"].max())
    figure = Figure(
        figsize=(PAGE, 0.9 + len(views) * (0.3 + 0.13 * len(mean))), layout="constrained"
    )
    grid = figure.subplots(len(views), len(percents), sharex=True, sharey=True, squeeze=False)
    for line, view in zip(grid, views, strict=True):
        for axes, percent in zip(line, percents, strict=True):
            own = panels.get((view, percent), rows.iloc[:0])
            strips = dict(iter(own.groupby(["model", "other"])))
            cells = [_strip(strips.get(pair)) for pair in mean.index]
            image = axes.imshow(
                cells, aspect="auto", cmap="cividis", vmin=low, vmax=high,
                interpolation="nearest", extent=(0, 1, len(cells) - 0.5, -0.5),
            )  # fmt: skip
            axes.grid(False)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        names = [f"{model}, {other}" for model, other in mean.index]
        line[0].set_yticks(range(len(names)), names)
        line[0].set_ylabel("" if view == "word" else view)
    _name(grid, percents)
    label = f"{METRICS['cka']}, mean over seeds"
    figure.colorbar(image, ax=grid, label=label, fraction=0.03, pad=0.01, aspect=30)
    return figure


#: Depths of a strip: models of different numbers of layers are compared at different ones.
_DEPTHS = np.linspace(0, 1, 97)


def _strip(rows: pd.DataFrame | None) -> npt.NDArray[np.float64]:
    """The mean over seeds at the nearest depth that was measured; NaN where none was."""
    if rows is None:
        return np.full(len(_DEPTHS), np.nan)
    mean = rows.groupby("depth")["value"].mean()
    nearest = np.abs(_DEPTHS[:, None] - mean.index.to_numpy()).argmin(axis=1)
    return mean.to_numpy()[nearest]


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of models."""
    return draw(tables.table("cross_model_similarity"))
