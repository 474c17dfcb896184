"""What the stages of the benchmark share: their command line, and how they put figures down."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch

PRODUCT = 2048  # rows and columns of the matrices of the limit, as in machine.py


def product(size: str, repeats: int = 6) -> tuple[Callable[[], None], float]:
    """The limit that takes its turn among the ways: a large matrix product, several times.

    Returns:
        What runs it, and its floating-point operations.
    """
    side, repeats = (PRODUCT, repeats) if size == "full" else (256, 2)
    a, b = torch.randn(side, side), torch.randn(side, side)

    def multiply() -> None:
        for _ in range(repeats):
            torch.mm(a, b)

    return multiply, 2.0 * side**3 * repeats


def way(amount: float, seconds: list[float], unit: str) -> dict[str, Any]:
    """A way's figures: what it did, in what time a turn, and the rate."""
    rate = measure.rate(amount, seconds)
    return {"amount": amount, "seconds": seconds, "rate": rate, "unit": unit}


def faster(fast: dict[str, Any], slow: dict[str, Any]) -> dict[str, float]:
    """How many times more `fast` does in a second than `slow`, turn by turn."""
    return measure.ratio(
        [seconds / slow["amount"] for seconds in slow["seconds"]],
        [seconds / fast["amount"] for seconds in fast["seconds"]],
    )


def share(
    operations: float, seconds: list[float], limit: float, limit_seconds: list[float]
) -> dict[str, float]:
    """Share of the limit that is reached, turn by turn."""
    return measure.ratio(
        [value / limit for value in limit_seconds], [value / operations for value in seconds]
    )


def equal(name: str, found: Any, expected: Any, tolerance: float) -> dict[str, dict[str, float]]:
    """Check that two arrays agree.

    Returns:
        The largest difference and what was allowed, by name.

    Raises:
        AssertionError: another shape, or a difference above the tolerance.
    """
    one, other = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert one.shape == other.shape, f"{name}: shapes {one.shape} and {other.shape}"
    difference = float(np.abs(one - other).max())
    assert difference <= tolerance, f"{name}: differ by {difference:g}; allowed: {tolerance:g}"
    return {name: {"largest difference": difference, "tolerance": tolerance}}


def main(run: Callable[[str], dict[str, Any]], arguments: Sequence[str] | None = None) -> None:
    """Measure a stage and print its figures, or write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true", help="tiny shapes: does it work at all")
    parser.add_argument("--out", type=Path, help="JSON; without it, the screen")
    chosen = parser.parse_args(arguments)
    text = json.dumps(run("smoke" if chosen.smoke else "full"), indent=2)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
