"""Online code length of labels given vectors (Voita and Titov 2020, "Information-Theoretic Probing
with Minimum Description Length", section 2.2).

Labels are sent block by block. The first block is sent with equal probabilities; each further one
with those of a probe that was fitted to all blocks before it. The sum is short if labels can be
predicted from vectors, and if little data is enough for that.

What it is compared with is the same code without vectors: each block is sent with the frequencies
of the labels before it. Voita and Titov compare with equal probabilities in all blocks, a code that
is beaten by knowing that most words are outside entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from layerscope.analysis.probing.features import Vectors
from layerscope.analysis.probing.linear import fit_linear, mixed

if TYPE_CHECKING:
    import torch

Codes = npt.NDArray[np.int64]

#: Where blocks end, as fractions of the rows: those of Voita and Titov (2020).
FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)


class CodeLength(NamedTuple):
    """Bits of labels: sent with what vectors tell of them, and with their frequencies alone."""

    online: float
    frequencies: float

    @property
    def compression(self) -> float:
        """How many times shorter the code with vectors is; 1 where they tell nothing."""
        return self.frequencies / self.online


def block_ends(rows: int) -> list[int]:
    """Rows after which blocks end; few rows have fewer blocks."""
    return sorted({max(round(fraction * rows), 1) for fraction in FRACTIONS} | {rows})


def frequency_code_length(labels: Codes, classes: int) -> float:
    """Bits of labels of which each block is sent with the frequencies of those before it.

    Args:
        labels: class of each row, in the order in which they are sent.
        classes: number of all classes, at least 2.
    """
    ends = block_ends(len(labels))
    bits = ends[0] * float(np.log2(classes))
    for seen, end in pairwise(ends):
        shares = mixed(np.bincount(labels[:seen], minlength=classes) / seen, seen)
        bits -= float(np.log2(shares[labels[seen:end]]).sum())
    return bits


def online_code_lengths(
    vectors: Vectors,
    label_sets: Sequence[Codes],
    classes: int,
    inverse_regularisation: float | None,
    max_iterations: int,
    groups: Sequence[str] | None = None,
    device: str | torch.device | None = None,
) -> list[CodeLength]:
    """Code length of each set of labels, in bits.

    A class that no earlier block has would have probability 0. The probabilities of the probe, and
    the frequencies, are mixed with equal ones: see `mixed`.

    Args:
        vectors: rows x width, float32, standardised; in random order.
        label_sets: class of each row.
        classes: number of all classes, at least 2.
        inverse_regularisation, max_iterations, groups, device: as of `fit_linear`, which chooses
            the strength of the penalty from the rows that were sent before.
    """
    ends = block_ends(len(vectors))
    bits = [ends[0] * float(np.log2(classes))] * len(label_sets)
    settings = inverse_regularisation, max_iterations
    for seen, end in pairwise(ends):
        sent, rows = [labels[:seen] for labels in label_sets], np.arange(end - seen)
        before = None if groups is None else groups[:seen]
        probes = fit_linear(vectors[:seen], sent, *settings, before, device=device)
        for place, (probe, labels) in enumerate(zip(probes, label_sets, strict=True)):
            shares = mixed(probe.shares(vectors[seen:end], classes), seen)
            bits[place] -= float(np.log2(shares[rows, labels[seen:end]]).sum())
    return [
        CodeLength(found, frequency_code_length(labels, classes))
        for found, labels in zip(bits, label_sets, strict=True)
    ]
