"""Curves of probe scores over layers, shared by the figures of probes and of gain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.core.encodings import of_main_views
from layerscope.figures.style import Row

#: x, mean, least and largest over variants (seeds), each of length layers.
Curve = tuple[list[float], list[float], list[float], list[float]]


def panels_of(rows: Sequence[Row], metric: str) -> list[tuple[str, str]]:
    """Each probe and main view that has the metric, in the order of the table."""
    chosen = [r for r in of_main_views(rows) if r["metric"] == metric]
    return list(dict.fromkeys((r["probe"], r["view"]) for r in chosen))


def curve(rows: Sequence[Row], x: str, value: str = "value") -> Curve:
    """Mean and range over seeds at each layer.

    Args:
        rows: of one model, probe, view, metric and percent.
        x: the column to draw over, `layer` or `depth`.
        value: the column to draw.
    """
    groups: dict[float, list[float]] = {}
    for row in rows:
        if row[value] is not None:
            groups.setdefault(row[x], []).append(row[value])
    at = sorted(groups)
    return (
        at,
        [float(np.mean(groups[k])) for k in at],
        [min(groups[k]) for k in at],
        [max(groups[k]) for k in at],
    )
