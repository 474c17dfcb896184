"""What predictors can use of each layer, in bits, beside the compression of the same labels."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from layerscope.core.measures import of_first_split
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import panels_of
from layerscope.figures.layers import draw

MEASURE, BESIDE = "usable_information", "compression"


def figure(tables: Drawn) -> Figure:
    """The figure, from the tables of usable information and of probes."""
    rows = tables.table("usable_information").rename(columns={"family": "probe"})
    return beside(rows.assign(metric=MEASURE), of_first_split(tables.table("probes")))


def beside(rows: pd.DataFrame, probes: pd.DataFrame) -> Figure:
    """Families of predictors, view by view; below, compression by probes that have a code length.

    Args:
        rows: one task's rows of usable information, the family as `probe`, with a `metric`.
        probes: its rows of the table of probes.
    """
    wanted = sorted(panels_of(rows, MEASURE), key=lambda panel: _place(rows, panel[1]))
    views = {view for _, view in wanted}
    coded = probes[(probes["metric"] == BESIDE) & probes["view"].isin(views)]
    panels = [(family, view, MEASURE) for family, view in wanted]
    panels += [(probe, view, BESIDE) for probe, view in panels_of(coded, BESIDE)]
    shown = [rows, coded] if len(coded) else [rows]
    return draw(pd.concat(shown, ignore_index=True), panels, from_zero=(MEASURE,))


def _place(rows: pd.DataFrame, view: str) -> int:
    return list(rows["view"].unique()).index(view)
