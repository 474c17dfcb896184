"""The table of differences as the findings read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from layerscope.core.measures import LEVEL
from layerscope.summary.intervals import Interval, listed


class Comparison(NamedTuple):
    """How much one score is above another, and whether they differ significantly."""

    change: Interval
    significant: bool

    @property
    def above(self) -> bool:
        """Whether the one is significantly above the other."""
        return self.significant and self.change.value > 0

    @property
    def below(self) -> bool:
        """Whether the one is significantly below the other."""
        return self.significant and self.change.value < 0


#: How much the first system is above the second.
Comparisons = dict[tuple[str, str], Comparison]


def comparisons(rows: pd.DataFrame | None) -> tuple[Comparisons, Comparisons]:
    """Those between systems on the largest fraction, both ways; and of models with themselves.

    Args:
        rows: one task's rows of the table of differences; None if the study makes no tests. Rows
            without p are no tests.
    """
    between: Comparisons = {}
    gains: Comparisons = {}
    if rows is None:
        return between, gains
    for row in rows.dropna(subset=["value", "low", "high", "holm"]).itertuples():
        change, significant = Interval(row.value, row.low, row.high), row.holm < LEVEL
        if row.model == row.other:
            gains[row.model, row.other] = Comparison(change, significant)
        else:
            between[row.other, row.model] = Comparison(change, significant)
            between[row.model, row.other] = Comparison(change.turned(), significant)
    return between, gains


def sorted_out(
    pairs: Comparisons, names: Iterable[str], other: str
) -> tuple[list[str], list[str], list[str]]:
    """Names significantly above another, below it, and neither, those tested alone, by how much."""
    tested = [name for name in names if (name, other) in pairs]
    above = [f"{n} by {pairs[n, other].change}" for n in tested if pairs[n, other].above]
    below = [f"{n} by {pairs[n, other].change.turned()}" for n in tested if pairs[n, other].below]
    neither = [n for n in tested if not pairs[n, other].significant]
    return above, below, neither


def sentences(*parts: tuple[str, list[str]]) -> str:
    """`words: items.` of each part that has items."""
    return " ".join(f"{words}: {listed(items)}." for words, items in parts if items)
