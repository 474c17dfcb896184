"""What the figure of similarity shows."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from layerscope.core.encodings import of_main_views
from layerscope.core.table_files import Drawn
from layerscope.figures.layers import draw

#: In the order of the panels.
MEASURES = ("cka", "mutual_knn", "procrustes", "anisotropy", "anisotropy_centred")


def as_layers(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table of similarity as `layers.draw` takes them, with the view as their name."""
    chosen = of_main_views(rows)
    return chosen.assign(metric=chosen["measure"], probe=chosen["view"], view="word")


def panels(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """What each row of panels is of: a measure and a view, from rows of `as_layers`."""
    views, there = rows["probe"].unique(), set(rows["measure"])
    return [(view, "word", measure) for measure in MEASURES if measure in there for view in views]


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of similarity."""
    rows = as_layers(tables.table("similarity"))
    wanted = panels(rows)
    return draw(rows, wanted, height=1.05 if len(wanted) <= 6 else 0.82)  # more still fit a page
