"""What fine-tuning adds to a probe's score, by layer."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from layerscope.core.encodings import is_half
from layerscope.core.looks import METRICS, looks
from layerscope.core.measures import of_first_split, task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import draw_curve, estimates, panels_of
from layerscope.figures.style import (
    legend_below,
    model_handles,
    models_of,
    percents_of,
    styled,
    width_for,
)


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw a column a share of training data, a row a probe and view, and a line a model.

    Args:
        rows: one task's rows of the table of probes.
    """
    metric, _ = task_metrics(set(rows["metric"]))
    known = looks(models_of(rows))
    gained = rows[(rows["metric"] == metric) & rows["gain"].notna() & rows["seed"].isna()]
    wanted = [(probe, view) for probe, view in panels_of(gained, metric) if not is_half(view)]
    panels = dict(iter(gained.groupby(["probe", "view", "percent", "model"])))
    percents = percents_of(rows)
    figure = Figure(
        figsize=(width_for(len(percents)), 0.8 + 1.05 * len(wanted)), layout="constrained"
    )
    grid = figure.subplots(len(wanted), len(percents), sharex=True, sharey=True, squeeze=False)
    for line, (probe, view) in zip(grid, wanted, strict=True):
        for axes, percent in zip(line, percents, strict=True):
            axes.axhline(0, color="black", linewidth=0.6)
            for model, look in known.items():
                own = panels.get((probe, view, percent, model), gained.iloc[:0])
                points = estimates(own, "depth", "gain", "gain_")
                draw_curve(axes, points, look, alpha=0.13, markersize=2.8)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        title = f"{probe}, {view}" if view != "word" else probe
        line[0].set_ylabel(f"{title}\nΔ {METRICS[metric]}")
    for axes, percent in zip(grid[0], percents, strict=True):
        axes.set_title(f"fine-tuned on {percent} %")
    for axes in grid[-1]:
        axes.set_xlabel("Depth (layer / last layer)")
    legend_below(figure, model_handles(list(known), known), 2 if len(percents) <= 2 else 5)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of probes."""
    return draw(of_first_split(tables.table("probes")))
