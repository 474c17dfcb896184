"""Calibration, F1 of each class, and of seen and unseen entities."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import Look, looks
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

#: What is drawn of entities, and its label.
NOVELTY = {
    "f1_seen": "F1\nseen",
    "f1_unseen": "F1\nunseen",
    "recall_seen": "recall\nseen",
    "recall_unseen": "recall\nunseen",
}
#: Rows of a bin without which its accuracy is not drawn.
LEAST = 10
#: Labels at most that have a column.
MOST = 40


def of_largest_fraction(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the largest training fraction: means over seeds, or those of the one seed."""
    chosen = rows[rows["percent"] == max(percents_of(rows))]
    means = chosen[chosen["seed"].isna()]
    return means if len(means) else chosen


def of_frequent_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the `MOST` labels that are true most often, in the order of the table."""
    counts = rows.groupby("label", sort=False)["n"].max()
    return rows[rows["label"].isin(counts.nlargest(MOST).index)]


def _reliability(axes: Axes, rows: pd.DataFrame, known: dict[str, Look]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, linestyle="--")
    for model, look in known.items():
        own = rows[(rows["model"] == model) & (rows["n"] >= LEAST)]
        bins = own[own["measure"] == "bin_accuracy"].merge(
            own[own["measure"] == "bin_confidence"], on="bin", suffixes=("", "_confidence")
        )
        axes.plot(bins["value_confidence"], bins["value"], color=look.colour, marker=look.marker,
                  markersize=2.6, linewidth=0.9)  # fmt: skip
        for row in bins.itertuples():
            at = row.value_confidence
            axes.plot([at, at], [row.low, row.high], color=look.colour, linewidth=0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    axes.set_xlabel("Confidence")
    axes.set_ylabel("Accuracy")


def _bars(axes: Axes, rows: pd.DataFrame, known: dict[str, Look], measure: str) -> None:
    """A bar a model with its interval; of ECE also what a calibrated model would have."""
    for place, (model, look) in enumerate(known.items()):
        for row in rows[rows["model"] == model].dropna(subset="value").itertuples():
            if row.measure == measure:
                axes.barh(place, row.value, height=0.7, color=look.colour, alpha=0.55)
                if pd.notna(row.low):
                    axes.plot([row.low, row.high], [place, place], color="black", linewidth=0.8)
            elif row.measure == f"{measure}_calibrated":
                axes.plot([row.value] * 2, [place - 0.42, place + 0.42], color="black",
                          linewidth=1, linestyle=(0, (1, 1)))  # fmt: skip
    axes.set_ylim(len(known) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel({"ece": "Calibration error (ECE)", "brier": "Brier score"}[measure])


def _points(
    axes: Axes, rows: pd.DataFrame, known: dict[str, Look], key: str, names: dict[str, str]
) -> None:
    """A column a class or measure, in it a point a model with its interval."""
    for place, (model, look) in enumerate(known.items()):
        shift = (place - (len(known) - 1) / 2) * 0.6 / max(len(known) - 1, 1)
        own = rows[(rows["model"] == model) & rows[key].isin(names)].dropna(subset="value")
        columns = own.assign(at=own[key].map(list(names).index) + shift).sort_values("at")
        for row in columns.itertuples():
            axes.plot([row.at], [row.value], color=look.colour, marker=look.marker)
            if pd.notna(row.low):
                axes.plot([row.at] * 2, [row.low, row.high], color=look.colour, linewidth=0.8)
    long = len(names) > 5 or max(map(len, names.values())) > 14
    axes.set_xticks(range(len(names)), list(names.values()),
                    rotation=30 if long else 0, ha="right" if long else "center")  # fmt: skip
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(visible=False, axis="x")


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw the reliability curve and errors by model, F1 of each class, and of entities by novelty.

    All panels are of the largest training fraction, and means over seeds if there are several.

    Args:
        rows: one task's rows of the table of evaluation.
    """
    chosen = of_largest_fraction(rows)
    known = looks(models_of(rows))
    classes = chosen[chosen["measure"] == "f1"]
    classes = of_frequent_labels(classes)
    names = {label: label for label in classes["label"].unique()}
    entities = chosen["measure"].isin(NOVELTY).any()
    lines = 3 if entities else 2
    figure = Figure(figsize=(COLUMN, 0.7 + 1.45 * lines), layout="constrained")
    grid = figure.add_gridspec(2 * lines, 2)
    _reliability(figure.add_subplot(grid[:2, 0]), chosen, known)
    _bars(figure.add_subplot(grid[0, 1]), chosen, known, "ece")
    _bars(figure.add_subplot(grid[1, 1]), chosen, known, "brier")
    axes = figure.add_subplot(grid[2:4, :])
    _points(axes, classes, known, "label", names)
    axes.set_ylabel("Entity F1" if entities else "F1")
    if entities:
        axes = figure.add_subplot(grid[4:, :])
        _points(axes, chosen, known, "measure", NOVELTY)
        axes.set_ylabel("Entities seen\nin training or not")
    plain = [
        Line2D([], [], color=GREY, linewidth=0.7, linestyle="--", label="calibrated"),
        Line2D([], [], color="black", linewidth=1, linestyle=(0, (1, 1)),
               label="ECE if calibrated"),
    ]  # fmt: skip
    legend_below(figure, [*model_handles(list(known), known), *plain], 3)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of evaluation."""
    return draw(tables.table("error_analysis"))
