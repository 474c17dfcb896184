"""How each layer represents texts and their tokens, by measures that need no labels."""

from __future__ import annotations

from matplotlib.figure import Figure

from layerscope.core.table_files import Drawn
from layerscope.figures.layers import draw
from layerscope.figures.style import empty

#: What the rows of panels are of, and the measure, in their order.
PANELS = (
    ("over texts", "dataset_entropy"),
    ("over tokens", "prompt_entropy"),
    ("over texts", "effective_rank"),
    ("over tokens", "curvature"),
    ("edited texts", "invariance"),
)


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of representation quality: means and ranges over seeds."""
    rows = tables.table("representation_quality")
    of = {measure: about for about, measure in PANELS}
    rows = rows.assign(metric=rows["measure"], probe=rows["measure"].map(of), view="word")
    there = set(rows.loc[rows["value"].notna(), "measure"])
    if not there:
        return empty("Not applicable to any model: see the table not_applicable.")
    wanted = [(about, "word", measure) for about, measure in PANELS if measure in there]
    return draw(rows.drop(columns=["low", "high"]), wanted)
