"""What the best layer's score depends on besides the layer: what a probe is given of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import METRICS
from layerscope.core.measures import BASELINES, of_first_split, task_metrics
from layerscope.core.table_files import Drawn
from layerscope.core.variants import PRETRAINED, RANDOM
from layerscope.figures.scores import DASHES, line_of
from layerscope.figures.style import (
    COLUMNS,
    GREY,
    bands,
    folded,
    legend_below,
    models_of,
    name_columns,
    percent_looks,
    percents_of,
    styled,
    width_for,
)

#: Views and their parts in the order of the lines, with what a probe is given of the premise's
#: vector u and the hypothesis' v.
INPUTS = {
    "premise": "premise u",
    "hypothesis": "hypothesis v",
    "separate": "u, v",
    "combined": "u, v, |u\N{MINUS SIGN}v|, u\N{MULTIPLICATION SIGN}v",
    "premise-last": "premise u, last",
    "hypothesis-last": "hypothesis v, last",
    "separate-last": "u, v, last",
    "combined-last": "u, v, |u\N{MINUS SIGN}v|, u\N{MULTIPLICATION SIGN}v, last",
    "joint": "pair, mean",
    "joint-last": "pair, last",
    "text": "text, mean",
    "text-last": "text, last",
    "word": "word, mean",
    "word-last": "word, last",
}


class Estimate(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


def best_layers(rows: pd.DataFrame, metric: str) -> dict[tuple[str, str, str, str], Estimate]:
    """Score of the best layer with its interval, by probe, view, model and variant."""
    chosen = rows[(rows["metric"] == metric) & rows["layer"].isna()]
    keys = ["probe", "view", "model", "variant"]
    found = chosen.set_index(keys)[["value", "low", "high"]]
    return {place: Estimate(*row) for place, row in zip(found.index, found.to_numpy(), strict=True)}


def levels(scores: pd.DataFrame, metric: str) -> dict[str, float]:
    """Score of each baseline on the largest share, the mean over seeds."""
    chosen = scores[(scores["metric"] == metric) & scores["value"].notna()]
    lines = {name: line_of(chosen, name)["value"] for name in BASELINES}
    return {name: line.iloc[-1] for name, line in lines.items() if len(line)}


@styled()
def draw(rows: pd.DataFrame, scores: pd.DataFrame) -> Figure:
    """Draw a column a model, a row a probe, and a line of marks for each thing it is given.

    Args:
        rows: one task's rows of the table of probes.
        scores: its rows of the table of scores, for the baselines.
    """
    metric, _ = task_metrics(set(rows["metric"]))
    best = best_layers(rows, metric)
    models = models_of(rows)
    known = {
        probe: [view for view in INPUTS if any(place[:2] == (probe, view) for place in best)]
        for probe in dict.fromkeys(probe for probe, *_ in best)
    }
    percents = percent_looks(percents_of(rows))
    variants = _variants(rows)
    styles: dict[str, dict[str, Any]] = {
        "random weights": {"color": GREY, "marker": "x", "markersize": 3.2},
        "pre-trained": {"color": "black", "marker": "d", "markersize": 3},
    } | {
        f"fine-tuned on {percent} %": {"color": look.colour, "marker": look.marker, "markersize": 3}
        for percent, look in percents.items()
    }
    heights = [len(views) + 0.6 for views in known.values()]
    groups = folded(models, COLUMNS)
    size = (width_for(len(groups[0]) + 1), 1.1 + 0.3 * sum(heights))
    figure, found = bands(
        groups, size, len(known), sharex=True, sharey="row", height_ratios=heights
    )
    lines = levels(scores, metric)
    for band in found:
        for line, (probe, views) in zip(band.grid, known.items(), strict=True):
            for axes, model in zip(line, band.models, strict=True):
                for name, level in lines.items():
                    axes.axvline(level, color=GREY, linewidth=0.9, dashes=DASHES[name], zorder=1)
                for at, view in enumerate(views):
                    for number, (label, variant) in enumerate(variants.items()):
                        if (place := (probe, view, model, variant)) in best:
                            shift = 0.17 * (number - (len(variants) - 1) / 2)
                            _mark(axes, best[place], at + shift, styles[label])
                axes.set_ylim(len(views) - 0.4, -0.6)
                axes.set_yticks(range(len(views)), [INPUTS[view] for view in views])
                axes.tick_params(axis="y", length=0)
                axes.locator_params(axis="x", nbins=4)
            line[0].set_ylabel(probe)
        name_columns(band, f"{METRICS[metric]}, best layer")
    handles = [Line2D([], [], linestyle="", label=name, **styles[name]) for name in variants]
    handles += [
        Line2D([], [], color=GREY, linewidth=0.9, dashes=DASHES[name], label=name) for name in lines
    ]
    legend_below(figure, handles, 4)
    return figure


def _variants(rows: pd.DataFrame) -> Mapping[str, str]:
    """Variants by what their marks are called: of a fraction, the mean over its seeds."""
    there = set(rows["variant"])
    found = {
        label: variant
        for variant, label in ((RANDOM, "random weights"), (PRETRAINED, "pre-trained"))
        if variant in there
    }
    return found | {f"fine-tuned on {percent} %": f"f{percent}" for percent in percents_of(rows)}


def _mark(axes: Axes, found: Estimate, at: float, style: Mapping[str, Any]) -> None:
    """A value with a line over its interval."""
    axes.plot([found.low, found.high], [at, at], color=style["color"], linewidth=0.9)
    axes.plot(found.value, at, linestyle="", **style)


def figure(tables: Drawn) -> Figure:
    """The figure, from the tables of probes and scores."""
    return draw(of_first_split(tables.table("probes")), tables.table("scores"))
