"""Inner measures against downstream scores, and how strongly they are associated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.core.looks import METRICS, Look, looks
from layerscope.core.measures import LEVEL, chosen_measures, task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.style import (
    GREY,
    PAGE,
    Missing,
    missing_handles,
    model_handles,
    models_of,
    styled,
)
from layerscope.statistics.permutation import few_models

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
    missing: Missing = MappingProxyType({}),
) -> Figure:
    """Draw scatter plots of chosen inner measures, and the correlation of all, with placebos.

    Args:
        points, rows: of the tables of points and of associations, of one task and of `metric`.
        models: all models of the table of scores, which fixes their colours.
        metric: of the score.
        confidence: of the intervals in `rows`.
        missing: reasons by model and analysis for which measures lack points.
    """
    statistics = rows.set_index(["inner measure", "statistic"]).to_dict("index")
    within = rows[rows["statistic"] == _WITHIN]
    names = list(within["inner measure"])
    shown = chosen_measures(names)
    known = looks(models)
    percents = sorted(points["percent"].unique())
    sizes = {percent: 9 + 22 * (i + 1) / len(percents) for i, percent in enumerate(percents)}
    lines = _forest_lines(within)
    height = max(1.2 + 1.35 * -(-len(shown) // 2), 1.5 + 0.112 * len(lines))
    figure = Figure(figsize=(PAGE, min(height, 9.5)), layout="constrained")
    grid = figure.add_gridspec(-(-len(shown) // 2) or 1, 3, width_ratios=[1, 1, 1.25])
    first = None
    for index, name in enumerate(shown):
        axes = figure.add_subplot(grid[index // 2, index % 2], sharey=first)
        first = first or axes
        _scatter(axes, points[points["inner measure"] == name], known, sizes)
        axes.set_xlabel(_AXES[name.split(": ")[-1]])
        axes.set_title(_correlation(statistics[name, _WITHIN]), fontsize=6.5)
        if index % 2:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel(METRICS[metric])
    _forest(figure.add_subplot(grid[:, 2]), lines, statistics)
    figure.suptitle(_headline(within, shown), fontsize=7, x=0.01, ha="left")
    handles = model_handles([m for m in models if m in set(points["model"])], known, "")
    handles += _size_handles(sizes) + missing_handles(missing)
    figure.legend(handles=handles, loc="outside lower left", ncols=3)
    tested = within["p_corrected"].notna().any()
    figure.legend(handles=_forest_handles(confidence, tested), loc="outside lower right")
    return figure


def _headline(within: pd.DataFrame, shown: Sequence[str]) -> str:
    """What the figure supports, as the summary says it."""
    measures = within[~within["placebo"].astype(bool)]
    count = int(within["models"].max()) if len(within) else 0
    probe = next((_heading(name) for name in shown if ": " in name), None)
    note = f" Probe in the scatter plots: {probe}." if probe else ""
    if few := few_models(count):
        return f"{few}\n{note.strip()}".strip()
    significant = int((measures["p_corrected"] <= LEVEL).sum())
    verb = "is" if significant == 1 else "are"
    return (
        f"{significant or 'None'} of {len(measures)} inner measures {verb} significantly "
        f"associated with the score within training fractions\n(permutation of {count} independent "
        f"models, corrected for the number of measures).{note}"
    )


def _scatter(
    axes: Axes, points: pd.DataFrame, known: Mapping[str, Look], sizes: Mapping[int, float]
) -> None:
    """Scores against one inner measure, a marker for each fine-tuned variant."""
    for point in points.itertuples():
        look = known[point.model]
        axes.scatter(
            point.inner, point.score, s=sizes[point.percent], color=look.colour,
            marker=look.marker, alpha=0.75, linewidths=0.3, edgecolors="white",
        )  # fmt: skip
    axes.locator_params(axis="x", nbins=4)
    axes.locator_params(axis="y", nbins=5)
    axes.margins(0.1)


def _size_handles(sizes: Mapping[int, float]) -> list[Line2D]:
    return [
        Line2D([], [], color=GREY, marker="o", linestyle="", markersize=size**0.5,
               markeredgewidth=0, label=f"{percent} %")
        for percent, size in sizes.items()
    ]  # fmt: skip


def _forest_handles(confidence: float, tested: bool) -> list[Patch | Line2D]:
    def point(label: str, face: str = "white", line: float = 0.8) -> Line2D:
        return Line2D([], [], color="black", marker="o", markersize=3, linewidth=line,
                      markerfacecolor=face, label=label)  # fmt: skip

    handles: list[Patch | Line2D] = [point("ρ within fractions (no test)", line=0)]
    if tested:
        handles = [
            point(f"ρ within fractions, {100 * confidence:g} % interval; significant", "black"),
            point("the same; not significant, or a placebo"),
            Patch(facecolor=_BAND, label="not significant after correction"),
            Line2D([], [], linestyle="", label="ΔR²: gain in held-out R² over placebos"),
        ]
    return [
        *handles,
        Line2D([], [], color=_PALE, linewidth=3.5, label="range with one model left out"),
        Line2D([], [], color=GREY, marker="x", markersize=3, linestyle="",
               label="ρ over all points (not interpreted)"),
    ]  # fmt: skip


_PALE, _BAND = "#bcd3e6", "#f1f1f1"
_WITHIN = "spearman within fractions"
Row = Mapping[str, Any]


def _correlation(row: Row) -> str:
    if pd.isna(row["value"]):
        return "ρ undefined"
    text = f"ρ = {row['value']:.2f}".replace("-", "\N{MINUS SIGN}")
    return (
        f"{text} (no test)"
        if pd.isna(row["p_corrected"])
        else f"{text}, p = {row['p_corrected']:.3f}"
    )


def _heading(name: str) -> str:
    """Probe and view of an inner measure, or `attention`."""
    heading = name.rpartition(": ")[0].removesuffix(" view").replace(" probe,", ",")
    return heading.removesuffix(", word") or "attention"


def _forest_lines(within: pd.DataFrame) -> list[tuple[str, str | None]]:
    """Label and inner measure of each line; None for the heading of a probe."""
    lines: list[tuple[str, str | None]] = []
    for name, placebo in zip(within["inner measure"], within["placebo"], strict=True):
        heading = "placebos" if placebo else _heading(name)
        if heading not in [label for label, measure in lines if measure is None]:
            lines.append((heading, None))
        lines.append((name.rpartition(": ")[2].removeprefix("attention "), name))
    return lines


def _forest(
    axes: Axes,
    lines: Sequence[tuple[str, str | None]],
    statistics: Mapping[tuple[str, str], Row],
) -> None:
    """Correlation of each inner measure with its interval, and the gain in held-out R²."""
    named = [name for _, name in lines if name is not None]
    critical = [statistics[name, _WITHIN]["critical"] for name in named]
    for at, (_, name) in enumerate(lines):
        if name is not None:
            _forest_line(axes, at, *(statistics[name, kind] for kind in _KINDS))
    # Measures of different models have different bounds: the widest is drawn, none is too narrow.
    if bounds := [value for value in critical if pd.notna(value)]:
        axes.axvspan(-max(bounds), max(bounds), color=_BAND, zorder=0)
        axes.text(1.12, -0.75, "ΔR²", fontsize=6, va="bottom")
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
    axes.set_title("all inner measures and placebos", fontsize=6.5)


#: Statistics that a line shows.
_KINDS = (
    _WITHIN,
    "spearman within fractions, one model left out",
    "spearman over all points",
    "held-out R2, gain",
)


def _forest_line(axes: Axes, at: int, within: Row, without: Row, pooled: Row, gain: Row) -> None:
    """One inner measure: what is claimed is filled, everything else is open."""
    if pd.notna(without["low"]):
        axes.plot([without["low"], without["high"]], [at, at], color=_PALE, linewidth=3.5,
                  solid_capstyle="butt")  # fmt: skip
    if pd.notna(within["low"]):
        axes.plot([within["low"], within["high"]], [at, at], color="black", linewidth=0.8)
    if pd.notna(pooled["value"]):
        axes.plot(pooled["value"], at, color=GREY, marker="x", markersize=3)
    if pd.notna(within["value"]):
        face = "black" if within["p_corrected"] <= LEVEL else "white"
        axes.plot(within["value"], at, color="black", marker="o", markersize=3,
                  markerfacecolor=face, markeredgewidth=0.7)  # fmt: skip
    if pd.notna(gain["value"]):
        text = f"{round(gain['value'], 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")
        axes.text(1.12, at, text, fontsize=5.8, va="center")


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
        tables.missing("association"),
    )
