"""What the figure of similarity shows."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from layerscope.core.encodings import of_main_views
from layerscope.core.table_files import Drawn
from layerscope.figures.layers import draw
from layerscope.figures.style import Row

#: In the order of the panels.
MEASURES = ("cka", "anisotropy", "anisotropy_centred")


def as_layers(rows: Sequence[Row]) -> list[Row]:
    """Rows of the table of similarity as `layers.draw` takes them, with the view as their name."""
    return [
        row | {"metric": row["measure"], "probe": row["view"], "view": "word"}
        for row in of_main_views(rows)
    ]


def panels(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """What each row of panels is of: a measure and a view, from rows of `as_layers`."""
    views = list(dict.fromkeys(row["probe"] for row in rows))
    there = {row["measure"] for row in rows}
    return [(view, "word", measure) for measure in MEASURES if measure in there for view in views]


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of similarity."""
    rows = as_layers(tables.rows("similarity"))
    return draw(rows, panels(rows))
