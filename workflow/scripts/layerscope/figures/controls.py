"""What the figure of controls shows."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from layerscope.core.encodings import is_half
from layerscope.core.measures import of_first_split, task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import panels_of
from layerscope.figures.layers import draw
from layerscope.figures.style import empty, styled


def panels(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Probe, view and measure: half of the input alone, the published machine on standardised
    vectors, selectivity, and compression."""
    metric, _ = task_metrics(set(rows["metric"]))
    halves = [(p, v, metric) for p, v in panels_of(rows, metric) if is_half(v)]
    whole = [
        (p, v, measure)
        for measure in ("accuracy_standardised", "selectivity", "compression")
        for p, v in panels_of(rows, measure)
        if not is_half(v)
    ]
    return halves + whole


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of probes."""
    rows = of_first_split(tables.table("probes"))
    wanted = panels(rows)
    return draw(rows, wanted) if wanted else nothing()


@styled()
def nothing() -> Figure:
    """For pairs in joint views, without code length and the support vector machine."""
    return empty("No probe of this task has a control")
