"""At which depth a probe's score is reached, by share of the training data."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.encodings import is_half, of_main_views
from layerscope.core.looks import looks
from layerscope.core.table_files import Drawn
from layerscope.core.variants import RANDOM, without_seed
from layerscope.figures.curves import curve, draw_curve
from layerscope.figures.style import legend_below, models_of, percents_of, styled, width_for

NAMES = {"reaches": "Depth of 95 %\nof the best", "expected_layer": "Expected depth"}


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw a column a model, a row a measure, and a line a probe and view.

    Args:
        rows: one task's rows of the table of entry.
    """
    rows = of_main_views(rows)
    rows = rows[(rows["variant"].map(without_seed) != RANDOM) & ~rows["view"].map(is_half)]
    models = models_of(rows)
    percents = [0, *percents_of(rows)]
    rows = rows.assign(place=rows["percent"].map(percents.index))
    panels = dict(iter(rows.groupby(["measure", "model", "probe", "view"])))
    probes = list(rows[["probe", "view"]].drop_duplicates().itertuples(index=False, name=None))
    names = [probe if view == "word" else f"{probe}, {view}" for probe, view in probes]
    known = looks(names)
    figure = Figure(figsize=(width_for(len(models)), 3.4), layout="constrained")
    grid = figure.subplots(len(NAMES), len(models), sharex=True, sharey=True, squeeze=False)
    for line, (measure, title) in zip(grid, NAMES.items(), strict=True):
        for axes, model in zip(line, models, strict=True):
            for (probe, view), look in zip(probes, known.values(), strict=True):
                own = panels.get((measure, model, probe, view), rows.iloc[:0])
                draw_curve(axes, curve(own, "place", "depth"), look, markersize=3)
            axes.set_xticks(range(len(percents)), [str(percent) for percent in percents])
            axes.set_ylim(-0.05, 1.05)
        line[0].set_ylabel(title)
    for axes, model in zip(grid[0], models, strict=True):
        axes.set_title(model)
    for axes in grid[-1]:
        axes.set_xlabel("Training data (%)")
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, label=name)
        for name, look in known.items()
    ]
    legend_below(figure, handles, 2 if len(models) <= 2 else 4)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of entry."""
    return draw(tables.table("layer_localization"))
