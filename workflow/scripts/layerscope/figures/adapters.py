"""How models differ that are fine-tuned whole and with an adapter: their scores and insides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.core.encodings import WHOLE
from layerscope.core.looks import METRICS, Look
from layerscope.core.measures import LEVEL, chosen_probe
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import draw_curve, estimates
from layerscope.figures.style import (
    COLUMN,
    COLUMNS,
    GREY,
    PAGE,
    bands,
    folded,
    layer_ticks,
    legend_below,
    share_y,
    styled,
)

#: The look of a difference, and of the margin.
LOOK, MARGIN = Look("#0072B2", "o"), "#E69F00"


def shown(rows: pd.DataFrame) -> list[str]:
    """Inner measures to draw: one probe and one CKA, in the view of the task, and all others."""
    names = list(dict.fromkeys(rows.loc[rows["layer"].notna(), "measure"]))
    probes = [name for name in names if " probe, " in name]
    similar = [name for name in names if name.startswith("CKA")]
    views = tuple(f", {view} view" for view in WHOLE)
    kept = {chosen_probe(probes), min(similar, key=lambda n: not n.endswith(views), default=None)}
    return [name for name in names if name in kept or name not in {*probes, *similar}]


def draw_score(axes: Axes, rows: pd.DataFrame) -> None:
    """The difference of the scores with its interval, and the margin as a band."""
    for row in rows.itertuples():
        axes.axhspan(-row.margin, row.margin, color=MARGIN, alpha=0.25, linewidth=0)
        draw_point(axes, 0, row)
    axes.set_xlim(-1, 1)
    axes.set_xticks([])


def draw_point(axes: Axes, at: float, row: pd.Series) -> None:
    """A difference with its interval, filled where it is significant."""
    p = row.p if pd.isna(row.p_corrected) else row.p_corrected
    filled = LOOK.colour if p <= LEVEL else "white"
    if pd.notna(row.low):
        axes.plot([at, at], [row.low, row.high], color=LOOK.colour)
    axes.plot(at, row.value, LOOK.marker, color=LOOK.colour, markerfacecolor=filled, markersize=3.4)


def draw_layers(axes: Axes, rows: pd.DataFrame) -> None:
    """Differences by layer with their intervals, filled where they are significant."""
    draw_curve(axes, estimates(rows, "layer"), Look(LOOK.colour, ""))
    for row in rows.itertuples():
        filled = LOOK.colour if row.p_corrected <= LEVEL else "white"
        axes.plot(
            row.layer, row.value, LOOK.marker, color=LOOK.colour, markerfacecolor=filled,
            markersize=2.6, markeredgewidth=0.6,
        )  # fmt: skip
    layer_ticks(axes, 0, int(rows["layer"].max()))


def label(measure: str) -> str:
    """Of the y-axis of a measure, in short lines."""
    return METRICS.get(measure, measure.replace(", ", ",\n").replace(" probe", "\nprobe"))


def _panels(lines: npt.NDArray[np.object_], rows: pd.DataFrame, pairs: Sequence[str]) -> None:
    for line, measure in zip(lines, rows["measure"].unique(), strict=True):
        for axes, pair in zip(line, pairs, strict=True):
            own = rows[(rows["adapter"] == pair) & (rows["measure"] == measure)]
            axes.axhline(0, color=GREY, linewidth=0.6)
            if own["layer"].isna().all():
                draw_score(axes, own)
            else:
                draw_layers(axes, own.dropna(subset="layer"))
        line[0].set_ylabel(label(measure))


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw one column per pair; the score on top, below it a row per inner measure by layer.

    Args:
        rows: one task's rows of the table of adapters.
    """
    measures = [rows["measure"].iloc[0], *shown(rows)]
    rows = rows[rows["measure"].isin(measures)]
    whole = dict(zip(rows["adapter"], rows["model"], strict=True))
    groups = folded(list(whole), COLUMNS)
    width = COLUMN if len(groups[0]) == 1 else PAGE
    figure, found = bands(groups, (width, 0.9 + 0.95 * len(measures)), len(measures))
    share_y([band.grid for band in found], measures)
    for band in found:
        _panels(band.grid, rows, band.models)
        for axes, adapter in zip(band.grid[0], band.models, strict=True):
            axes.set_title(f"{adapter}\nless {whole[adapter]}")
        for axes in band.grid[-1]:
            axes.set_xlabel("Layer (0: embeddings)")
    marker = {"linestyle": "", "marker": LOOK.marker, "color": LOOK.colour, "markersize": 3}
    handles = [
        Line2D([], [], label=f"p ≤ {LEVEL:g}", **marker),  # type: ignore[arg-type]
        Line2D([], [], label="not significant", markerfacecolor="white", **marker),  # type: ignore[arg-type]
        Patch(color=MARGIN, alpha=0.25, linewidth=0, label="counts as equal"),
    ]
    legend_below(figure, handles, 3)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of adapters."""
    return draw(tables.table("adapters"))
