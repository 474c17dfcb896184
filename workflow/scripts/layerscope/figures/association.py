"""Inner measures against downstream scores, and how strongly they go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import METRICS, looks
from layerscope.core.measures import chosen_measures, task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.style import GREY, PAGE, model_handles, models_of, styled
from layerscope.statistics.inference import min_models_for_significance

_AXES = {
    "best layer": "Probe, best layer",
    "mean of layers": "Probe, mean of layers",
    "gain of best layer": "Probe, gain of best layer",
    "depth": "Probe, depth (0 to 1)",
    "attention cosine": "Attention, cosine",
    "attention JSD": "Attention, JSD (bits)",
    "attention JSD depth": "Attention, depth of JSD (0 to 1)",
}


@styled()
def draw(
    points: pd.DataFrame,
    rows: pd.DataFrame,
    models: Sequence[str],
    metric: str,
    confidence: float,
) -> Figure:
    """Draw scatters of chosen inner measures, and the rank correlation of all of them.

    Args:
        points, rows: of the tables of points and of associations, of one task and of `metric`.
        models: all models of the table of scores, which fixes their colours.
        metric: of the score.
        confidence: of the intervals in `rows`.
    """
    statistics = rows.set_index(["inner measure", "statistic"]).to_dict("index")
    names = list(rows["inner measure"].unique())
    shown = chosen_measures(names)
    known = looks(models)
    percents = sorted(points["percent"].unique())
    sizes = {percent: 9 + 22 * (i + 1) / len(percents) for i, percent in enumerate(percents)}
    lines = _forest_lines(names)
    height = max(1.0 + 1.35 * -(-len(shown) // 2), 1.2 + 0.112 * len(lines))
    figure = Figure(figsize=(PAGE, min(height, 9.5)), layout="constrained")
    grid = figure.add_gridspec(-(-len(shown) // 2), 3, width_ratios=[1, 1, 1.05])
    first = None
    for index, name in enumerate(shown):
        axes = figure.add_subplot(grid[index // 2, index % 2], sharey=first)
        first = first or axes
        for point in points[points["inner measure"] == name].itertuples():
            look = known[point.model]
            axes.scatter(
                point.inner, point.score, s=sizes[point.percent], color=look.colour,
                marker=look.marker, alpha=0.75, linewidths=0.3, edgecolors="white",
            )  # fmt: skip
        axes.set_xlabel(_AXES[name.split(": ")[-1]])
        axes.set_title(_correlation(statistics[name, "spearman"]), fontsize=6.5)
        if index % 2:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel(METRICS[metric])
        axes.locator_params(axis="x", nbins=4)
        axes.locator_params(axis="y", nbins=5)
        axes.margins(0.1)
    _forest(figure.add_subplot(grid[:, 2]), lines, statistics)
    count = points["model"].nunique()
    n = points["inner measure"].value_counts().max() if len(points) else 0
    probe = next((_heading(name) for name in shown if ": " in name), None)
    figure.suptitle(
        f"{n} fine-tuned variants of {count} model{'s' if count != 1 else ''}"
        + (f" (probe in the scatters: {probe})" if probe else "")
        + (". Few models: intervals are wide and rough" if count < 10 else "")
        + f";\n{min_models_for_significance(count, round(1 - confidence, 6))}",
        fontsize=7,
        x=0.01,
        ha="left",
    )
    handles = model_handles([m for m in models if m in set(points["model"])], known, "")
    handles += [
        Line2D([], [], color=GREY, marker="o", linestyle="", markersize=size**0.5,
               markeredgewidth=0, label=f"{percent} %")
        for percent, size in sizes.items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=4)
    forest = [
        Line2D([], [], color="black", marker="o", markersize=2.6, linewidth=0.8,
               label=f"ρ and {100 * confidence:g} % interval"),
        Line2D([], [], color=_PALE, linewidth=3.5, label="range with one model left out"),
        Line2D([], [], linestyle="", label="+ − 0 at the right: interval of mixed-effects slope"),
    ]  # fmt: skip
    figure.legend(handles=forest, loc="outside lower right")
    return figure


_PALE = "#bcd3e6"
Row = Mapping[str, Any]


def _correlation(row: Row) -> str:
    if pd.isna(row["value"]):
        return f"ρ undefined (n = {row['n']})"
    text = f"ρ = {row['value']:.2f}"
    if pd.isna(row["low"]):
        return f"{text} (no interval)"
    return f"{text} [{row['low']:.2f}, {row['high']:.2f}]".replace("-", "\N{MINUS SIGN}")


def _sign(row: Row) -> str:
    """Which side of 0 an interval lies on, 0 if it holds it; nothing if there is none."""
    if pd.isna(row["low"]):
        return ""
    return "+" if row["low"] > 0 else "\N{MINUS SIGN}" if row["high"] < 0 else "0"


def _heading(name: str) -> str:
    """Probe and view of an inner measure, or `attention`."""
    heading = name.rpartition(": ")[0].removesuffix(" view").replace(" probe,", ",")
    return heading.removesuffix(", word") or "attention"


def _forest_lines(names: Sequence[str]) -> list[tuple[str, str | None]]:
    """Label and inner measure of each line; None for the heading of a probe."""
    lines: list[tuple[str, str | None]] = []
    for name in names:
        heading, ending = _heading(name), name.rpartition(": ")[2]
        if heading not in [label for label, measure in lines if measure is None]:
            lines.append((heading, None))
        lines.append((ending.removeprefix("attention "), name))
    return lines


def _forest(
    axes: Axes,
    lines: Sequence[tuple[str, str | None]],
    statistics: Mapping[tuple[str, str], Row],
) -> None:
    """Spearman's correlation of each inner measure, its interval and its leave-one-out range."""
    for at, (_, name) in enumerate(lines):
        if name is None:
            continue
        whole = statistics[name, "spearman"]
        without = statistics[name, "spearman leave-one-model-out"]
        if pd.notna(without["low"]):
            axes.plot([without["low"], without["high"]], [at, at], color=_PALE, linewidth=3.5,
                      solid_capstyle="butt")  # fmt: skip
        if pd.notna(whole["low"]):
            axes.plot([whole["low"], whole["high"]], [at, at], color="black", linewidth=0.8)
        if pd.notna(whole["value"]):
            axes.plot(whole["value"], at, color="black", marker="o", markersize=2.6)
        axes.text(1.1, at, _sign(statistics[name, "mixed-effects slope"]), fontsize=6, va="center")
    axes.axvline(0, color="black", linewidth=0.6, zorder=1)
    axes.set_xlim(-1.05, 1.05)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks(range(len(lines)), [label for label, _ in lines], fontsize=5.8)
    for label, (_, name) in zip(axes.get_yticklabels(), lines, strict=True):
        if name is None:
            label.set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.set_xlabel("Spearman's ρ with the score")
    axes.set_title("all inner measures", fontsize=6.5)


def figure(tables: Drawn) -> Figure:
    """The figure, from the tables of associations, points and scores."""
    scores = tables.table("scores")
    metric, _ = task_metrics(set(scores["metric"]))
    points, rows = tables.table("association-points"), tables.table("association")
    return draw(
        points[points["metric"] == metric],
        rows[rows["metric"] == metric],
        models_of(scores[scores["architecture"] != "baseline"]),
        metric,
        tables.confidence("association"),
    )
