"""Downstream score against the share of training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from layerscope.core.looks import METRICS, looks
from layerscope.core.measures import task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.style import (
    COLUMN,
    GREY,
    Row,
    legend_below,
    model_handles,
    models_of,
    styled,
)

#: Lines of baselines.
DASHES = {"majority": (1, 1.5), "bag-of-words": (5, 1.5), "premise-only": (5, 1.5, 1, 1.5),
           "hypothesis-only": (3, 1.2, 1, 1.2, 1, 1.2)}  # fmt: skip


def line_of(rows: Sequence[Row], model: str) -> list[Row]:
    """What is drawn of a model: at each percent the mean over seeds, or the only seed.

    Nothing is drawn at 0 %, where the head is untrained.

    Args:
        rows: of one task and metric.
    """
    by_percent: dict[int, Row] = {}
    for row in rows:
        if row["model"] == model and row["percent"] > 0:
            drawn = by_percent.setdefault(row["percent"], row)
            if drawn["seed"] is not None and row["seed"] is None:
                by_percent[row["percent"]] = row
    return [by_percent[percent] for percent in sorted(by_percent)]


@styled()
def draw(rows: Sequence[Row]) -> Figure:
    """Draw one panel a task and one line a model, in the task's primary metric.

    Args:
        rows: the table of scores. A baseline scored at one share alone is a level line.
    """
    known = looks(models_of([r for r in rows if r["architecture"] != "baseline"]))
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    percents = sorted({r["percent"] for r in rows if r["model"] in known and r["percent"] > 0})
    baselines = [m for m in models_of(rows) if m not in known]
    figure = Figure(figsize=(COLUMN, 0.75 + 1.65 * len(tasks)), layout="constrained")
    panels = figure.subplots(len(tasks), 1, sharex=True, squeeze=False)[:, 0]
    for axes, task in zip(panels, tasks, strict=True):
        chosen = [r for r in rows if r["task"] == task and r["value"] is not None]
        metric, _ = task_metrics({r["metric"] for r in chosen})
        chosen = [r for r in chosen if r["metric"] == metric]
        for baseline in baselines:
            line = line_of(chosen, baseline)
            style: dict[str, Any] = {
                "color": GREY,
                "linewidth": 0.9,
                "dashes": DASHES[baseline],
                "zorder": 1,
            }
            if len(line) == 1:
                axes.axhline(line[0]["value"], **style)
            else:
                axes.plot([r["percent"] for r in line], [r["value"] for r in line], **style)
        for index, (model, look) in enumerate(known.items()):
            line = line_of(chosen, model)
            # Side by side, so that intervals at the same share stay apart.
            shift = 1.035 ** (index - (len(known) - 1) / 2)
            x = [row["percent"] * shift for row in line]
            axes.plot(x, [row["value"] for row in line], color=look.colour, marker=look.marker)
            for at, row in zip(x, line, strict=True):
                if row["low"] is not None and row["high"] is not None:
                    axes.plot([at, at], [row["low"], row["high"]], color=look.colour, linewidth=0.8)
        axes.set_title(task, loc="left")
        axes.set_ylabel(METRICS[metric])
        axes.set_xscale("log")
        axes.set_xticks(percents, [str(p) for p in percents])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(percents[0] / 1.25, percents[-1] * 1.25)
        axes.margins(y=0.08)
    panels[-1].set_xlabel("Share of training data (%)")
    lines = [
        Line2D([], [], color=GREY, linewidth=0.9, dashes=DASHES[b], label=b) for b in baselines
    ]
    legend_below(figure, [*model_handles(list(known), known), *lines], 2)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of scores."""
    return draw(tables.rows("scores"))
