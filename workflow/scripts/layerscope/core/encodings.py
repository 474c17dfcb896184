"""Names of views: what of an example a vector stands for.

`separate`, `joint`, `text` and `word` are means over sub-words; with `-last` behind it a view is
of the last one instead. Probes split `separate` into halves and combine them: parts have names
like views.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Ends the name of a view of the last real sub-word.
LAST = "-last"
SEPARATE, TEXT = "separate", "text"
#: Views that encode what the task is about: a pair, a text or a word.
WHOLE = ("joint", TEXT, "word")
#: Parts of `separate` that see half of the input: controls.
HALVES = ("premise", "hypothesis")
#: What InferSent makes of the halves.
COMBINED = "combined"


def is_last(view: str) -> bool:
    """Whether a view is of the last sub-word, in place of a mean."""
    return view.endswith(LAST)


def encoding(view: str) -> str:
    """How the model reads the input for a view: views with the same one share a forward pass."""
    return view.removesuffix(LAST)


def part_of(part: str, view: str) -> str:
    """Name of a part of a view, such as `premise-last` of `separate-last`."""
    return part + (LAST if is_last(view) else "")


def is_half(view: str) -> bool:
    """Whether a view has half of the input alone."""
    return encoding(view) in HALVES


def main_views(views: Iterable[str]) -> list[str]:
    """Views that a study is summed up by, in the order given.

    The rest asks what another way to sum up the same states gives: combined features, and the last
    sub-word where the mean is there too.
    """
    known = list(dict.fromkeys(views))
    return [
        view
        for view in known
        if encoding(view) != COMBINED and not (is_last(view) and encoding(view) in known)
    ]


def of_main_views(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of one task whose `view` is a main one."""
    return rows[rows["view"].isin(main_views(rows["view"]))]
