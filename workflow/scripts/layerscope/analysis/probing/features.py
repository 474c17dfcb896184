"""Features that probes read, and their scaling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def combined(pairs: Vectors) -> Vectors:
    """Premise u and hypothesis v with what compares them: [u; v; |u - v|; u * v].

    The features of InferSent (Conneau et al. 2017, section 3.1). A linear probe of [u; v] adds up
    what each says; whether u and v are near each other it cannot tell.

    Args:
        pairs: rows x width, float32: [u; v].

    Returns:
        rows x twice the width, float32.
    """
    u, v = np.split(pairs, 2, axis=1)
    return np.concatenate([pairs, np.abs(u - v), u * v], axis=1)


def standardise(train: Vectors, test: Vectors) -> tuple[Vectors, Vectors]:
    """Zero mean and unit variance by the training rows; a constant feature becomes 0.

    Layers differ in scale by orders of magnitude (the last one of GPT-2 is normalised, earlier
    ones are not), and what a regularised probe finds depends on scale.

    Args:
        train: rows x width, float32; the only rows that mean and deviation are taken from.
        test: rows x width, float32.

    Returns:
        Both scaled, float32.
    """
    mean = train.mean(axis=0, dtype=np.float64)
    deviation = train.std(axis=0, dtype=np.float64)
    # A constant column's deviation is rounding error.
    constant = deviation <= 1e-6 * np.abs(mean)
    scale = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation)).astype(np.float32)
    shift = mean.astype(np.float32)
    return (train - shift) * scale, (test - shift) * scale
