"""Curves with ranges over seeds, which several figures draw."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from layerscope.core.encodings import of_main_views
from layerscope.core.looks import Look


def panels_of(rows: pd.DataFrame, metric: str) -> list[tuple[str, str]]:
    """Each probe and main view that has the metric, in the order of the table."""
    main = of_main_views(rows)
    chosen = main.loc[main["metric"] == metric, ["probe", "view"]].drop_duplicates()
    return list(chosen.itertuples(index=False, name=None))


def curve(rows: pd.DataFrame, x: str, value: str = "value") -> pd.DataFrame:
    """Mean and range over seeds at each layer: columns `mean`, `min` and `max`, by `x`.

    Args:
        rows: of one model, probe, view, metric and percent.
        x: the column to draw over, `layer` or `depth`.
        value: the column to draw.
    """
    return rows.dropna(subset=value).groupby(x)[value].agg(["mean", "min", "max"])


def estimates(rows: pd.DataFrame, x: str, value: str = "value", ends: str = "") -> pd.DataFrame:
    """A table's own means and intervals, as columns of `curve`; without an interval, no range.

    Args:
        rows: of one model, probe, view, metric and variant.
        x: the column to draw over, `layer` or `depth`.
        value: the column to draw.
        ends: what the names of the columns `low` and `high` begin with.
    """
    own = rows.dropna(subset=[x, value]).set_index(x).sort_index()
    low, high = (own[ends + end].fillna(own[value]) for end in ("low", "high"))
    return pd.DataFrame({"mean": own[value], "min": low, "max": high})


def draw_curve(
    axes: Axes, points: pd.DataFrame, look: Look, alpha: float = 0.18, **line: Any
) -> None:
    """Draw what `curve` gives: the mean as a line with markers, the range as a shade."""
    at, colour = points.index, look.colour
    axes.fill_between(at, points["min"], points["max"], color=colour, alpha=alpha, linewidth=0)
    axes.plot(at, points["mean"], color=colour, marker=look.marker, **line)
