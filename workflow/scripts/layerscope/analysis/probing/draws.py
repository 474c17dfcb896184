"""Draws of the rows that a probe learns from, for intervals that contain their choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]


def draw_weights(groups: Sequence[str], draws: int) -> Weights:
    """How often each row is in each bootstrap sample of whole groups (Efron 1979).

    The same groups give the same draws, so that draws of two variants are paired.

    Args:
        groups: of each row.
        draws: number of samples.

    Returns:
        Whole numbers, draws x rows.
    """
    _, group = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    count = int(group.max()) + 1
    rng = np.random.default_rng(2)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    return drawn[:, group].astype(np.float32)
