"""How similar attention is before and after fine-tuning, by layer and head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.errors import UserError
from layerscope.core.table_files import Drawn
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


def grid_of(rows: Sequence[Row], measure: str) -> tuple[npt.NDArray[np.float64], int]:
    """Mean over seeds of a measure as heads x layers, NaN where there is none; the first layer.

    Args:
        rows: of one model and percent.
        measure: its name; without rows of it the array is empty.
    """
    chosen = [r for r in rows if r["measure"] == measure]
    if not chosen:
        return np.empty((0, 0)), 0
    first = min(r["layer"] for r in chosen)
    shape = (max(r["head"] for r in chosen) + 1, max(r["layer"] for r in chosen) - first + 1)
    total, count = np.zeros(shape), np.zeros(shape)
    for row in chosen:
        total[row["head"], row["layer"] - first] += row["value"]
        count[row["head"], row["layer"] - first] += 1
    with np.errstate(invalid="ignore"):
        return total / count, first


@styled()
def draw(rows: Sequence[Row]) -> Figure:
    """Draw heat maps and curves of cosine, then of divergence, a column a model.

    Args:
        rows: one task's rows of the table of attention; the largest percent is drawn.

    Raises:
        UserError: no variant is compared with the pre-trained model.
    """
    compared = [r for r in rows if r["measure"] in _NAMES and r["percent"] > 0]
    if not compared:
        raise UserError("attention: no fine-tuned variant has cosine or jsd; allowed: one or more")
    percent = percents_of(compared)[-1]
    rows = [r for r in rows if r["percent"] == percent]
    models = models_of(compared)
    figure = Figure(figsize=(width_for(len(models)), 5.6), layout="constrained")
    grid = figure.subplots(
        4, len(models), sharex="col", squeeze=False, height_ratios=[1.35, 1, 1.35, 1]
    )
    drawn: set[str] = set()
    for index, (measure, name) in enumerate(_NAMES.items()):
        maps, curves = grid[2 * index], grid[2 * index + 1]
        _heat_maps(figure, maps, rows, models, measure)
        share_y(curves[None], [measure])
        for axes, model in zip(curves, models, strict=True):
            own = [r for r in rows if r["model"] == model]
            values, first = grid_of(own, measure)
            layers = np.arange(first, first + values.shape[1])
            for ending, (_, style) in _REFERENCES.items():
                reference, start = grid_of(own, f"{measure}_{ending}")
                if reference.size:
                    drawn.add(ending)
                    at = np.arange(start, start + reference.shape[1])
                    axes.plot(at, np.nanmean(reference, axis=0), markersize=3, **style)
            if values.size:
                axes.vlines(layers, np.nanmin(values, axis=0), np.nanmax(values, axis=0), **_RANGE)
                axes.plot(layers, np.nanmean(values, axis=0), color=_LINE, marker="o")
                layer_ticks(axes, first, int(layers[-1]))
        curves[0].set_ylabel(name)
        maps[0].set_ylabel("Head")
    for axes, model in zip(grid[0], models, strict=True):
        axes.set_title(model)
    for axes in grid[-1]:
        axes.set_xlabel("Layer")
    figure.align_ylabels(grid[:, 0])
    handles = [
        Line2D([], [], color=_LINE, marker="o", label=f"before and after ({percent} %)"),
        Line2D([], [], label="range over heads", **_RANGE),
    ]
    handles += [
        Line2D([], [], markersize=3, label=label, **style)
        for ending, (label, style) in _REFERENCES.items()
        if ending in drawn
    ]
    legend_below(figure, handles, 2 if len(models) <= 2 else 5)
    return figure


def _heat_maps(
    figure: Figure,
    panels: npt.NDArray[np.object_],
    rows: Sequence[Row],
    models: Sequence[str],
    measure: str,
) -> None:
    """One heat map a model, all with the same colours, and the colour bar at the end."""
    arrays = {m: grid_of([r for r in rows if r["model"] == m], measure) for m in models}
    finite = np.concatenate([a[np.isfinite(a)] for a, _ in arrays.values()])
    # Dark is always what fine-tuning changed most.
    low, high, colours = (
        (np.floor(finite.min() * 20) / 20, 1.0, "cividis")
        if measure == "cosine"
        else (0.0, np.ceil(finite.max() * 20) / 20, "cividis_r")
    )
    image = None
    for axes, (values, first) in zip(panels, arrays.values(), strict=True):
        axes.grid(False)
        axes.set_facecolor("#dddddd")
        if not values.size:
            continue
        heads, layers = values.shape
        image = axes.imshow(
            values, aspect="auto", cmap=colours, vmin=low, vmax=max(high, low + 0.05),
            interpolation="nearest", extent=(first - 0.5, first + layers - 0.5, heads - 0.5, -0.5),
        )  # fmt: skip
        step = max(1, -(-heads // 4))
        axes.set_yticks(range(0, heads, step))
        axes.spines[:].set_visible(False)
    if image is not None:
        figure.colorbar(
            image, ax=list(panels), label=_NAMES[measure], fraction=0.05, pad=0.015, aspect=12
        )


def figure(tables: Drawn) -> Figure:
    """The figure, from the rows of the largest share in the table of attention."""
    table = tables.table("attention")
    return draw(table.filter(pc.equal(table["percent"], pc.max(table["percent"]))).to_pylist())
