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

#: In the order of the rows of panels.
MEASURES = ("cka", "mutual_knn", "procrustes")


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw one column per training fraction, one row per measure and view, one line per pair.

    Of more pairs than there are looks, each is a strip of colours instead, the most alike on top,
    and measures are columns as well.

    Args:
        rows: one task's rows of the table of models.
    """
    views = main_views(rows["view"])
    percents = sorted(rows["percent"].unique())
    measures = [measure for measure in MEASURES if measure in set(rows["measure"])]
    rows = rows[rows["view"].isin(views) & rows["measure"].isin(measures)]
    pairs = list(rows[["model", "other"]].drop_duplicates().itertuples(index=False, name=None))
    if len(pairs) > LINES:
        return _strips(rows, views, [(p, measure) for measure in measures for p in percents])
    panels = dict(iter(rows.groupby(["measure", "view", "percent", "model", "other"])))
    known = looks([f"{model}, {other}" for model, other in pairs])
    lines = [(measure, view) for measure in measures for view in views]
    figure = Figure(
        figsize=(width_for(len(percents)), 1.1 + 1.05 * len(lines)), layout="constrained"
    )
    grid = figure.subplots(len(lines), len(percents), sharex=True, sharey=True, squeeze=False)
    for line, (measure, view) in zip(grid, lines, strict=True):
        for axes, percent in zip(line, percents, strict=True):
            for (model, other), look in zip(pairs, known.values(), strict=True):
                own = panels.get((measure, view, percent, model, other), rows.iloc[:0])
                draw_curve(axes, curve(own, "depth"), look, markersize=2.8)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        line[0].set_ylabel(METRICS[measure] + (f"\n{view}" if view != "word" else ""))
    _name(grid, [_title(percent) for percent in percents])
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, label=name)
        for name, look in known.items()
    ]
    legend_below(figure, handles, 2)
    return figure


def _title(percent: int) -> str:
    return f"fine-tuned on {percent} %" if percent else "pre-trained"


def _name(grid: npt.NDArray[np.object_], titles: Sequence[str]) -> None:
    """Titles above the columns, depth below."""
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    for axes in grid[-1]:
        axes.set_xlabel("Depth (layer / last layer)" if len(titles) <= 3 else "Depth")


def _strips(rows: pd.DataFrame, views: Sequence[str], columns: Sequence[tuple[int, str]]) -> Figure:
    """Mean over seeds by pair and depth as colours; pairs by their mean CKA over all depths."""
    order = rows[rows["measure"] == columns[0][1]].groupby(["model", "other"])["value"].mean()
    order = order.sort_values(ascending=False)
    panels = dict(iter(rows.groupby(["view", "percent", "measure"])))
    low, high = min(0, rows["value"].min()), max(1, rows["value"].max())
    figure = Figure(
        figsize=(PAGE, 0.9 + len(views) * (0.3 + 0.13 * len(order))), layout="constrained"
    )
    grid = figure.subplots(len(views), len(columns), sharex=True, sharey=True, squeeze=False)
    for line, view in zip(grid, views, strict=True):
        for axes, column in zip(line, columns, strict=True):
            own = panels.get((view, *column), rows.iloc[:0])
            strips = dict(iter(own.groupby(["model", "other"])))
            cells = [_strip(strips.get(pair)) for pair in order.index]
            image = axes.imshow(
                cells, aspect="auto", cmap="cividis", vmin=low, vmax=high,
                interpolation="nearest", extent=(0, 1, len(cells) - 0.5, -0.5),
            )  # fmt: skip
            axes.grid(False)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        names = [f"{model}, {other}" for model, other in order.index]
        line[0].set_yticks(range(len(names)), names)
        line[0].set_ylabel("" if view == "word" else view)
    titles = [_title(percent).replace(" on ", "\non ") for percent, _ in columns]
    _name(grid, [f"{METRICS[m]}\n{title}" for (_, m), title in zip(columns, titles, strict=True)])
    label = "Similarity, mean over seeds"
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
