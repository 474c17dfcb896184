"""Measures of probes by layer, before and after fine-tuning; used by four figures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import METRICS, Look
from layerscope.core.variants import PRETRAINED, RANDOM, without_seed
from layerscope.figures.curves import curve, draw_curve, estimates
from layerscope.figures.style import (
    COLUMNS,
    GREY,
    bands,
    folded,
    layer_ticks,
    legend_below,
    models_of,
    name_columns,
    percent_looks,
    percents_of,
    share_y,
    styled,
    width_for,
)


@styled()
def draw(
    rows: pd.DataFrame,
    wanted: Sequence[tuple[str, str, str]],
    height: float = 1.05,
    from_zero: Collection[str] = (),
) -> Figure:
    """Draw one column per model and one row per panel.

    A table that has means over seeds with intervals is drawn by these, else by means and ranges.

    Args:
        rows: one task's rows of the table of probes or of similarity.
        wanted: probe, view and measure of each row, as from `probes.panels` or `controls.panels`.
        height: of a row of panels, in inches.
        from_zero: measures whose panels have a line at 0.
    """
    estimated = "low" in rows
    models = models_of(rows)
    percents = percent_looks(percents_of(rows))
    panels = dict(iter(rows.groupby(["model", "probe", "view", "metric"])))
    groups = folded(models, COLUMNS)
    size = (width_for(len(groups[0])), 0.8 + height * len(wanted))
    figure, found = bands(groups, size, len(wanted), sharex="col")
    share_y([band.grid for band in found], [measure for _, _, measure in wanted])
    for band in found:
        for line, (probe, view, measure) in zip(band.grid, wanted, strict=True):
            for axes, model in zip(line, band.models, strict=True):
                own = panels.get((model, probe, view, measure), rows.iloc[:0])
                _panel(axes, own, percents, estimated)
                if measure in from_zero:
                    axes.axhline(0, color="black", linewidth=0.6)
            title = f"{probe}, {view}" if view != "word" else probe
            line[0].set_ylabel(f"{title}\n{METRICS[measure]}")
        name_columns(band, "Layer (0: embeddings)")
    handles = [
        Line2D([], [], label=label, **_REFERENCES[variant])
        for variant, label in ((PRETRAINED, "pre-trained"), (RANDOM, "random weights"))
    ]
    handles += [
        Line2D(
            [], [], color=look.colour, marker=look.marker, markersize=2.6,
            label=f"fine-tuned on {percent} %",
        )
        for percent, look in percents.items()
    ]  # fmt: skip
    legend_below(figure, handles, 2 if len(models) <= 2 else 5)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, percents: dict[int, Look], estimated: bool) -> None:
    """Curves of one model, probe, view and measure."""
    for variant, style in _REFERENCES.items():
        points = (
            estimates(rows[rows["variant"] == variant], "layer")
            if estimated
            else curve(rows[rows["variant"].map(without_seed) == variant], "layer")
        )
        if variant == PRETRAINED:
            shade = {"color": style["color"], "alpha": 0.1, "linewidth": 0}
            axes.fill_between(points.index, points["min"], points["max"], **shade)
        axes.plot(points.index, points["mean"], **style)
    for percent, look in percents.items():
        of_percent = rows[rows["percent"] == percent]
        points = (
            estimates(of_percent[of_percent["seed"].isna()], "layer")
            if estimated
            else curve(of_percent, "layer")
        )
        draw_curve(axes, points, look, alpha=0.2, markersize=2.6)
    if len(rows):
        layer_ticks(axes, 0, int(rows["layer"].max()))


_REFERENCES: dict[str, dict[str, Any]] = {
    RANDOM: {"color": GREY, "linestyle": (0, (1, 1.2)), "zorder": 1.5},
    PRETRAINED: {"color": "black", "linestyle": (0, (4, 1.5)), "zorder": 2.5},
}
