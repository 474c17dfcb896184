"""Confusion matrices of the fine-tuned models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from layerscope.core.errors import UserError
from layerscope.core.measures import BASELINES
from layerscope.core.table_files import Drawn
from layerscope.figures.style import COLUMN, models_of, percents_of, styled

#: Labels that have a row; the rarest of more share the last one.
MOST, OTHERS = 60, "(all others)"


def labels_of(rows: pd.DataFrame) -> list[str]:
    """All labels, true ones first, in the order of the table; all others together come last."""
    found = pd.concat([rows["label"], rows["predicted"]]).unique()
    return sorted(found, key=lambda label: label == OTHERS)


def matrix_of(rows: pd.DataFrame, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Counts as true label x predicted label, summed over seeds."""
    counts = rows.pivot_table("count", "label", "predicted", aggfunc="sum", fill_value=0)
    return counts.reindex(index=labels, columns=labels, fill_value=0).to_numpy(np.int64)


#: With more labels, cells have room for their colour alone.
MOST_WITH_NUMBERS = 12
#: What a label's name needs, in inches.
LABEL_HEIGHT = 0.12


def with_others(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the labels that are true most often, `MOST` at most, and all others as one."""
    counts = rows.groupby("label", sort=False)["count"].sum()
    if len(counts) <= MOST:
        return rows
    kept = set(counts.nlargest(MOST - 1).index)
    named = ["label", "predicted"]
    both = {name: rows[name].where(rows[name].isin(kept), OTHERS) for name in named}
    return rows.assign(**both).groupby(["model", *named], sort=False, as_index=False)["count"].sum()


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw one matrix per model at the largest training fraction: row percentages and counts.

    Of many labels only the most frequent have rows of their own.

    Args:
        rows: one task's rows of the table of confusions.

    Raises:
        UserError: there is no fine-tuned variant of a model.
    """
    rows = rows[~rows["model"].isin(BASELINES) & (rows["percent"] > 0)]
    if rows.empty:
        raise UserError("confusion: no fine-tuned variant; allowed: one or more")
    percent = percents_of(rows)[-1]
    rows = with_others(rows[rows["percent"] == percent])
    labels, models = labels_of(rows), models_of(rows)
    has_numbers = len(labels) <= MOST_WITH_NUMBERS
    columns = min(2, len(models)) if has_numbers else 1
    lines = -(-len(models) // columns)
    panel = 1.05 if len(labels) <= 3 else max(2.75, LABEL_HEIGHT * len(labels))
    size = (columns * panel + COLUMN - 2.1, 0.85 + lines * (panel + 0.2))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, model in zip(grid.flat, models, strict=False):
        matrix = matrix_of(rows[rows["model"] == model], labels)
        total = matrix.sum(axis=1, keepdims=True)
        fractions = np.divide(matrix, total, out=np.zeros(matrix.shape), where=total > 0)
        axes.imshow(fractions, aspect="auto", cmap="Blues", norm=Normalize(0, 1))
        for (i, j), fraction in np.ndenumerate(fractions) if has_numbers else ():
            axes.text(
                j, i, f"{100 * fraction:.0f} %\n{matrix[i, j]:,}", ha="center", va="center",
                fontsize=5.8, linespacing=1.3, color="white" if fraction > 0.55 else "black",
            )  # fmt: skip
        axes.set_title(model)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        turned: dict[str, Any] = {"rotation": 90}
        if has_numbers:
            turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(labels)), labels, **turned)
        axes.set_yticks(range(len(labels)), labels)
    for axes in grid.flat[len(models) :]:
        axes.remove()
    for axes in grid.flat[max(0, len(models) - columns) : len(models)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel(f"Predicted, fine-tuned on {percent} %", fontsize=7)
    figure.supylabel("True", fontsize=7)
    image = ScalarMappable(Normalize(0, 1), "Blues")
    figure.colorbar(
        image, ax=figure.axes, label="Fraction of the true label", shrink=0.8, aspect=25
    )
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of confusion."""
    return draw(tables.table("confusion"))
