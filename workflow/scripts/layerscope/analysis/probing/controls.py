"""Control tasks: what a probe learns by itself, whatever the vectors encode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from layerscope.analysis.probing.features import Vectors
from layerscope.core.encodings import HALVES, SEPARATE, encoding, part_of

Codes = npt.NDArray[np.int64]


def word_type_labels(
    train_words: Sequence[str], train_labels: Codes, test_words: Sequence[str], seed: int
) -> tuple[Codes, Codes]:
    """Random labels by word type (Hewitt and Liang 2019, "Designing and Interpreting Probes").

    Each word type gets one random label, drawn from the distribution of the training labels over
    words, and keeps it in train and test. Nothing but the word's identity predicts it, so a probe
    does well here only as far as it can memorise words.

    Returns:
        Control labels of the training and of the test words.
    """
    rng = np.random.default_rng(seed)
    types = sorted({*train_words, *test_words})
    drawn = dict(zip(types, rng.choice(train_labels, size=len(types)), strict=True))
    return (
        np.asarray([drawn[word] for word in train_words], dtype=np.int64),
        np.asarray([drawn[word] for word in test_words], dtype=np.int64),
    )


def halves(vectors: Vectors, view: str) -> dict[str, Vectors]:
    """The views to probe: `separate` (premise, then hypothesis) also gives either half alone.

    A probe that does as well on `hypothesis` as on the pair has not read a relation between both.
    """
    if encoding(view) != SEPARATE:
        return {view: vectors}
    sides = zip(HALVES, np.split(vectors, 2, axis=1), strict=True)
    return {view: vectors} | {part_of(half, view): side for half, side in sides}
