"""Seeded randomness, the same on every machine."""

from __future__ import annotations

import random


def seeded(purpose: str, seed: int) -> random.Random:
    """A generator of its own for each purpose, so that one more draw here moves nothing there."""
    return random.Random(f"{purpose} {seed}")  # noqa: S311 (no secrets here)
