"""Attention measures in plain loops, over numbers alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np


def entropy_of(row: Iterator[float] | np.ndarray) -> float:
    return -sum(p * math.log2(p) for p in row if p > 0)


def jsd_of(one: np.ndarray, other: np.ndarray) -> float:
    middle = [(p + q) / 2 for p, q in zip(one, other, strict=True)]
    return sum(
        (p * math.log2(p / m) if p > 0 else 0) / 2 + (q * math.log2(q / m) if q > 0 else 0) / 2
        for p, q, m in zip(one, other, middle, strict=True)
    )


def pair_of(one: list[np.ndarray], other: list[np.ndarray]) -> tuple[float, float]:
    """Cosine and divergence of two maps given as rows of numbers, nothing left out of either."""
    a, b = np.concatenate(one), np.concatenate(other)
    cos = sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
        sum(x * x for x in a) * sum(y * y for y in b)
    )
    return cos, sum(jsd_of(p, q) for p, q in zip(one, other, strict=True)) / len(one)


def part_of(map_: np.ndarray, keep: list[int]) -> list[np.ndarray]:
    """Rows and columns of some positions, rows normalised again."""
    return [map_[at, keep] / map_[at, keep].sum() for at in keep]
