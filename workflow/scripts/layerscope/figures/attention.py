"""How similar attention is before and after fine-tuning, by layer and head."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from layerscope.core.errors import UserError
from layerscope.core.table_files import Drawn
from layerscope.figures.style import (
    COLUMNS,
    GREY,
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

_NAMES = {"cosine": "Cosine", "jsd": "JSD (bits)"}
_LINE = "#0072B2"
_RANGE: dict[str, Any] = {"color": _LINE, "alpha": 0.3, "linewidth": 3}
_REFERENCES: dict[str, tuple[str, dict[str, Any]]] = {
    "ceiling": (
        "ceiling: two seeds",
        {"color": "black", "linestyle": (0, (4, 1.5)), "marker": "_"},
    ),
    "null_sentence": (
        "null: other sentence",
        {"color": GREY, "linestyle": (0, (1, 1.2)), "marker": "x"},
    ),
    "null_head": (
        "null: other head",
        {"color": GREY, "linestyle": (0, (5, 1.5, 1, 1.5)), "marker": "+"},
    ),
}


def grid_of(rows: pd.DataFrame, value: str = "value") -> pd.DataFrame:
    """Mean over seeds of a column as heads x layers, NaN where a seed has none.

    Args:
        rows: of one model, measure and percent.
        value: the column.
    """
    cells = rows.groupby(["head", "layer"])[value].mean(skipna=False).unstack()
    if cells.empty:
        return cells
    heads, layers = (
        range(cells.index.max() + 1),
        range(cells.columns.min(), cells.columns.max() + 1),
    )
    return cells.reindex(index=heads, columns=layers)


@styled()
def draw(rows: pd.DataFrame, missing: Missing = MappingProxyType({})) -> Figure:
    """Draw heat maps and curves of cosine, then of divergence, one column per model.

    Args:
        rows: one task's rows of the table of attention; the largest percent is drawn.
        missing: reasons by model and analysis for which there are no rows.

    Raises:
        UserError: no variant is compared with the pre-trained model.
    """
    compared = rows[rows["measure"].isin(_NAMES) & (rows["percent"] > 0)]
    if compared.empty and missing:
        return empty("Not applicable: no model here has attention maps.")
    if compared.empty:
        raise UserError("attention: no fine-tuned variant has cosine or jsd; allowed: one or more")
    percent = percents_of(compared)[-1]
    models = models_of(compared)
    largest = rows[rows["percent"] == percent]
    grids = {place: grid_of(own) for place, own in largest.groupby(["model", "measure"])}
    nothing = pd.DataFrame()
    groups = folded(models, COLUMNS)
    figure, found = bands(
        groups, (width_for(len(groups[0])), 5.6), 4, sharex="col", height_ratios=[1.35, 1, 1.35, 1]
    )
    drawn: set[str] = set()
    for index, (measure, name) in enumerate(_NAMES.items()):
        limits = _limits([grids[m, measure] for m in models if (m, measure) in grids], measure)
        share_y([band.grid[2 * index + 1][None] for band in found], [measure])
        for band in found:
            maps, curves = band.grid[2 * index], band.grid[2 * index + 1]
            of_band = [grids.get((m, measure), nothing) for m in band.models]
            _heat_maps(band.part, maps, of_band, measure, limits)
            for axes, model in zip(curves, band.models, strict=True):
                for ending, (_, style) in _REFERENCES.items():
                    reference = grids.get((model, f"{measure}_{ending}"), nothing)
                    if not reference.empty:
                        drawn.add(ending)
                        axes.plot(reference.columns, reference.mean(), markersize=3, **style)
                values = grids.get((model, measure), nothing)
                if not values.empty:
                    axes.vlines(values.columns, values.min(), values.max(), **_RANGE)
                    axes.plot(values.columns, values.mean(), color=_LINE, marker="o")
                    layer_ticks(axes, values.columns[0], values.columns[-1])
            curves[0].set_ylabel(name)
            maps[0].set_ylabel("Head")
    for band in found:
        name_columns(band, "Layer")
        band.part.align_ylabels(list(band.grid[:, 0]))
    handles = [
        Line2D([], [], color=_LINE, marker="o", label=f"before and after ({percent} %)"),
        Line2D([], [], label="range over heads", **_RANGE),
    ]
    handles += [
        Line2D([], [], markersize=3, label=label, **style)
        for ending, (label, style) in _REFERENCES.items()
        if ending in drawn
    ]
    handles += missing_handles(missing, "attention")
    legend_below(figure, handles, 2 if len(models) <= 2 else 5)
    return figure


def _limits(grids: Sequence[pd.DataFrame], measure: str) -> tuple[float, float]:
    """Least and greatest value of the colours of all heat maps of a measure."""
    finite = pd.concat(grid.stack() for grid in grids)
    low, high = (
        (np.floor(finite.min() * 20) / 20, 1.0)
        if measure == "cosine"
        else (0.0, np.ceil(finite.max() * 20) / 20)
    )
    return low, max(high, low + 0.05)


def _heat_maps(
    part: Figure | SubFigure,
    panels: npt.NDArray[np.object_],
    grids: Sequence[pd.DataFrame],
    measure: str,
    limits: tuple[float, float],
) -> None:
    """One heat map a model, and the colour bar at the end."""
    # Dark is always what fine-tuning changed most.
    colours = "cividis" if measure == "cosine" else "cividis_r"
    image = None
    for axes, values in zip(panels, grids, strict=True):
        axes.grid(False)
        axes.set_facecolor("#dddddd")
        if values.empty:
            continue
        heads, (first, last) = len(values), values.columns[[0, -1]]
        image = axes.imshow(
            values, aspect="auto", cmap=colours, vmin=limits[0], vmax=limits[1],
            interpolation="nearest", extent=(first - 0.5, last + 0.5, heads - 0.5, -0.5),
        )  # fmt: skip
        step = max(1, -(-heads // 4))
        axes.set_yticks(range(0, heads, step))
        axes.spines[:].set_visible(False)
    if image is not None:
        part.colorbar(
            image, ax=list(panels), label=_NAMES[measure], fraction=0.05, pad=0.015, aspect=12
        )


def figure(tables: Drawn) -> Figure:
    """The figure, from the rows of the largest training fraction in the table of attention."""
    return draw(tables.table("attention"), tables.missing("attention"))
