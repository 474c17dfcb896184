"""Downstream score by training fraction."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from layerscope.core.looks import METRICS, looks
from layerscope.core.measures import task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.style import (
    COLUMN,
    GREY,
    legend_below,
    model_handles,
    models_of,
    percents_of,
    styled,
)

#: Lines of baselines.
DASHES = {"majority": (1, 1.5), "bag-of-words": (5, 1.5), "premise-only": (5, 1.5, 1, 1.5),
           "hypothesis-only": (3, 1.2, 1, 1.2, 1, 1.2)}  # fmt: skip


def line_of(rows: pd.DataFrame, model: str) -> pd.DataFrame:
    """What is drawn of a model: at each percent the mean over seeds, or the only seed.

    Nothing is drawn at 0 %, where the head is untrained.

    Args:
        rows: of one task and metric.
    """
    own = rows[(rows["model"] == model) & (rows["percent"] > 0)]
    means_first = own.sort_values("seed", key=pd.Series.notna, kind="stable")
    return means_first.drop_duplicates("percent").sort_values("percent")


@styled()
def draw(rows: pd.DataFrame, training: pd.DataFrame) -> Figure:
    """Draw one panel a task and one line a model, in the task's primary metric.

    Args:
        rows: the table of scores. A baseline scored at a single fraction is a horizontal line.
        training: the table of trainings. Where one of a mark has not learned, the mark is hollow.
    """
    idle = training[~training["learned"].astype(bool)]
    idle_at = set(zip(idle["task"], idle["model"], idle["percent"], strict=True))
    known = looks(models_of(rows[rows["architecture"] != "baseline"]))
    tasks = rows["task"].unique()
    percents = percents_of(rows[rows["model"].isin(known)])
    baselines = [m for m in models_of(rows) if m not in known]
    figure = Figure(figsize=(COLUMN, 0.75 + 1.65 * len(tasks)), layout="constrained")
    panels = figure.subplots(len(tasks), 1, sharex=True, squeeze=False)[:, 0]
    for axes, task in zip(panels, tasks, strict=True):
        chosen = rows[(rows["task"] == task) & rows["value"].notna()]
        metric, _ = task_metrics(set(chosen["metric"]))
        chosen = chosen[chosen["metric"] == metric]
        for baseline in baselines:
            line = line_of(chosen, baseline)
            style: dict[str, Any] = {
                "color": GREY,
                "linewidth": 0.9,
                "dashes": DASHES[baseline],
                "zorder": 1,
            }
            if len(line) == 1:
                axes.axhline(line["value"].iloc[0], **style)
            else:
                axes.plot(line["percent"], line["value"], **style)
        for index, (model, look) in enumerate(known.items()):
            line = line_of(chosen, model)
            # Side by side, so that intervals at the same fraction do not overlap.
            shift = 1.035 ** (index - (len(known) - 1) / 2)
            line = line.assign(at=line["percent"] * shift)
            axes.plot(line["at"], line["value"], color=look.colour, marker=look.marker)
            for row in line.dropna(subset=["low", "high"]).itertuples():
                axes.plot([row.at] * 2, [row.low, row.high], color=look.colour, linewidth=0.8)
            hollow = line[[(task, model, percent) in idle_at for percent in line["percent"]]]
            axes.plot(
                hollow["at"], hollow["value"], color=look.colour, marker=look.marker,
                markerfacecolor="white", linestyle="none", zorder=3,
            )  # fmt: skip
        axes.set_title(task, loc="left")
        axes.set_ylabel(METRICS[metric])
        axes.set_xscale("log")
        axes.set_xticks(percents, [str(p) for p in percents])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(percents[0] / 1.25, percents[-1] * 1.25)
        axes.margins(y=0.08)
    panels[-1].set_xlabel("Training fraction (%)")
    lines = [
        Line2D([], [], color=GREY, linewidth=0.9, dashes=DASHES[b], label=b) for b in baselines
    ]
    if idle_at:
        style = {"color": GREY, "marker": "o", "markerfacecolor": "white", "linestyle": "none"}
        lines.append(Line2D([], [], **style, label="not learned"))
    legend_below(figure, [*model_handles(list(known), known), *lines], 2)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the tables of scores and of trainings."""
    return draw(tables.table("scores"), tables.table("training"))
