"""What all findings are judged and worded by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t

#: Seeds without which nothing is said of probes: their scores are so coarse that two seeds often
#: agree by chance, and an interval without width is no evidence.
LEAST_SEEDS = 3


class Interval(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float

    def turned(self) -> Interval:
        """Of the value with the other sign."""
        return Interval(-self.value, -self.high, -self.low)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def over_seeds(values: npt.ArrayLike, confidence: float) -> Interval:
    """Mean with Student's interval; without bounds if there is one value."""
    found = np.asarray(values, float)
    mean, n = float(found.mean()), len(found)
    if n < 2:
        return Interval(mean, -np.inf, np.inf)
    half = float(t.ppf((1 + confidence) / 2, n - 1) * found.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half)


def above(one: Interval, other: Interval) -> bool:
    """Whether the whole of one interval lies above the other."""
    return one.low > other.high


def supported(difference: Interval) -> bool:
    """Whether an interval excludes 0."""
    return difference.low > 0 or difference.high < 0


def listed(items: Iterable[str]) -> str:
    """Items of a sentence, with semicolons where one has a comma of its own."""
    items = list(items)
    if len(items) == 1:
        return items[0]
    if any("," in item for item in items):
        return f"{'; '.join(items[:-1])}; and {items[-1]}"
    return f"{', '.join(items[:-1])} and {items[-1]}"


def number(count: int, noun: str) -> str:
    """A number of things, such as `2 seeds`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
