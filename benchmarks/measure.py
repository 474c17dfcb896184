"""Timing of several ways of doing the same, fairly: side by side, in turns, in one process.

The ways take turns, so that whatever else the machine does meets all of them; each is warmed up
once. A ratio is taken within a turn, and its spread is that of the turns.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def take_turns(
    ways: Mapping[str, Callable[[], Any]], turns: int = 5, warm_up: bool = True
) -> dict[str, list[float]]:
    """Seconds that each way takes, a number a turn.

    Args:
        ways: what is compared, by name; results are dropped.
        turns: how often each is measured.
        warm_up: whether each runs once before that, unmeasured.
    """
    if warm_up:
        for way in ways.values():
            way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns):
        order = list(ways) if turn % 2 == 0 else list(reversed(ways))
        for name in order:
            gc.collect()
            begun = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    """Median, and lowest and highest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def ratio(slow: list[float], fast: list[float]) -> dict[str, float]:
    """How many times faster `fast` is, turn by turn."""
    return spread([a / b for a, b in zip(slow, fast, strict=True)])


def rate(amount: float, seconds: list[float]) -> dict[str, float]:
    """Amount a second, turn by turn."""
    return spread([amount / value for value in seconds])
