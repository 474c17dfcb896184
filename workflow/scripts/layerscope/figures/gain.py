"""What fine-tuning adds to a probe's score, by layer."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from layerscope.core.encodings import is_half
from layerscope.core.looks import METRICS, looks
from layerscope.core.measures import of_main_rows, task_metrics
from layerscope.core.table_files import Drawn
from layerscope.core.variants import PRETRAINED
from layerscope.figures.curves import curve, draw_curve, panels_of
from layerscope.figures.style import (
    legend_below,
    model_handles,
    models_of,
    percents_of,
    styled,
    width_for,
)


def gains(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of the fine-tuned variants with `gain`: the score less the pre-trained model's.

    Rows whose model, probe, view and layer was not probed before fine-tuning are left out.
    """
    place = ["model", "probe", "view", "layer"]
    chosen = rows[(rows["metric"] == metric) & rows["value"].notna()]
    before = chosen.loc[chosen["variant"] == PRETRAINED, [*place, "value"]]
    both = chosen[chosen["percent"] > 0].merge(before, on=place, suffixes=("", "_before"))
    return both.assign(gain=both["value"] - both["value_before"])


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw a column a share of training data, a row a probe and view, and a line a model.

    Args:
        rows: one task's rows of the table of probes.
    """
    metric, _ = task_metrics(set(rows["metric"]))
    known = looks(models_of(rows))
    gained = gains(rows, metric)
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
                draw_curve(axes, curve(own, "depth", "gain"), look, markersize=2.8)
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
    return draw(of_main_rows(tables.table("probes")))
