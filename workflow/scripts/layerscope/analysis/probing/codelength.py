"""Online code length of labels given vectors (Voita and Titov 2020, "Information-Theoretic Probing
with Minimum Description Length", section 2.2).

Labels are sent block by block. The first block is sent with equal probabilities; each further one
with those of a probe that was fitted to all blocks before it. The sum is short if labels can be
told from vectors, and if little data is enough for that: a probe's score told from its effort.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from layerscope.analysis.probing.features import Vectors
from layerscope.analysis.probing.logistic import fit, probabilities

Codes = npt.NDArray[np.int64]

#: Where blocks end, as shares of the rows: those of Voita and Titov (2020).
SHARES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)


def block_ends(rows: int) -> list[int]:
    """Rows after which blocks end; few rows have fewer blocks."""
    return sorted({max(round(share * rows), 1) for share in SHARES} | {rows})


def online_code_lengths(
    vectors: Vectors,
    label_sets: Sequence[Codes],
    classes: int,
    inverse_regularisation: float,
    max_iterations: int,
) -> list[float]:
    """Code length of each set of labels, in bits.

    A class that no earlier block has would have probability 0: the probe's probabilities are mixed
    with equal ones, of a weight that falls with the rows that it was fitted to, as if one row more
    had been seen of which every class had its share.

    Args:
        vectors: rows x width, float32, standardised; in random order.
        label_sets: class of each row.
        classes: number of all classes, at least 2.
        inverse_regularisation: C of scikit-learn.
        max_iterations: of a fit.
    """
    ends = block_ends(len(vectors))
    lengths = [ends[0] * float(np.log2(classes))] * len(label_sets)
    for seen, end in pairwise(ends):
        block = slice(seen, end)
        for place, labels in enumerate(label_sets):
            shares = np.zeros((end - seen, classes))
            names, codes = np.unique(labels[:seen], return_inverse=True)
            if len(names) == 1:
                shares[:, names[0]] = 1
            else:
                parameters, _ = fit(
                    vectors[:seen], [codes], len(names), inverse_regularisation, max_iterations
                )
                shares[:, names] = probabilities(parameters, vectors[block])[0]
            mixed = (seen * shares + 1 / classes) / (seen + 1)
            sent = mixed[np.arange(end - seen), labels[block]]
            lengths[place] -= float(np.log2(sent).sum())
    return lengths


def compression(length: float, rows: int, classes: int) -> float:
    """How many times shorter than with equal probabilities; 1 where vectors tell nothing."""
    return rows * float(np.log2(classes)) / length
