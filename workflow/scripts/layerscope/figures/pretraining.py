"""Held-out perplexity during pre-training."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from layerscope.core.table_files import Drawn
from layerscope.figures.style import COLUMN, PAGE, empty, models_of, styled

_LINE = "#0072B2"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw one panel per model, each on its own scale.

    Perplexities of different tokenizers, texts or objectives are not comparable.

    Args:
        rows: the table of pre-training; without rows the figure says so.
    """
    rows = rows[(rows["metric"] == "perplexity") & rows["value"].notna()]
    models = models_of(rows)
    if not models:
        return empty("No model of this study is pre-trained here")
    columns = min(2, len(models)) if len(models) < 5 else 4
    lines = -(-len(models) // columns)
    width = COLUMN if columns <= 2 else PAGE
    figure = Figure(figsize=(width, 0.3 + 1.55 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes, model in zip(grid.flat, models, strict=False):
        line = rows[rows["model"] == model].sort_values("step")
        x, y = line["step"].tolist(), line["value"].tolist()
        axes.plot(x, y, color=_LINE, marker="o")
        if max(y) > 5 * min(y):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:,g}")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.margins(x=0.12, y=0.22)
        axes.annotate(_short(y[0]), (x[0], y[0]), (4, 1), textcoords="offset points", fontsize=6)
        if len(x) > 1:
            axes.annotate(
                _short(y[-1]), (x[-1], y[-1]), (0, -8.5), textcoords="offset points", fontsize=6,
                ha="center",
            )  # fmt: skip
        axes.set_title(
            f"{model}\n({line['objective'].iloc[0]}, {line['corpus'].iloc[0]})", fontsize=7
        )
    for axes in grid.flat[len(models) :]:
        axes.remove()
    figure.supxlabel("Optimiser step", fontsize=7)
    figure.supylabel("Held-out perplexity", fontsize=7)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of pretraining."""
    return draw(tables.table("pretraining"))
