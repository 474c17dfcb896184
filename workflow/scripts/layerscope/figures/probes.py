"""What the figure of probe scores shows."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from layerscope.core.encodings import is_half
from layerscope.core.measures import of_first_split, task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import panels_of
from layerscope.figures.layers import draw


def panels(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Probe, view and measure of the probes that see the whole input, in the task's own metric."""
    metric, _ = task_metrics(set(rows["metric"]))
    return [(p, v, metric) for p, v in panels_of(rows, metric) if not is_half(v)]


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of probes."""
    rows = of_first_split(tables.table("probes"))
    return draw(rows, panels(rows))
