"""What the head lens costs: operations and memory of its maps, and of the head on each layer."""

from __future__ import annotations

from typing import NamedTuple

from layerscope.resources.sizes import ModelSize

#: Examples or words that maps learn from at most, and the parts that a penalty is chosen by
#: (`layerscope.analysis.head_lens`).
LEARNED, FOLDS = 10_000, 3


class LensWork(NamedTuple):
    """Of one model on one task."""

    operations: float
    batches: float  # passes, times the layers of each
    device_mb: float  # beside the weights
    memory_mb: float  # of the processor, states and answers


def head_lens(
    size: ModelSize, rows: float, learned: float, test: float, length: float, batch_tokens: int
) -> LensWork:
    """Work of the head lens.

    Args:
        size: of the model.
        rows: in an example.
        learned: rows that maps may learn from.
        test: examples that answers are scored on.
        length: of an example in sub-words.
        batch_tokens: sub-words in a batch.
    """
    width, layers = size.width, size.layers + 1
    learned = min(learned, LEARNED)
    examples = learned / rows + test
    # Products of the rows and a decomposition for each part and for the whole, in float64.
    fitted = 2 * layers * (FOLDS + 1) * (8 * learned + 40 * width) * width**2
    # Two maps of each token and layer; what stands around the blocks three times.
    put_on = layers * test * length * (4 * width**2 + 150 * width)
    batches = examples * length / batch_tokens * size.layers
    batches += 3 * layers * test * length / batch_tokens
    maps = (layers + 8) * width**2 * 8 + 6 * learned * width * 8
    batch = 3 * layers * width * batch_tokens * 4
    kept = layers * learned * width * 4
    answers = (3 * layers * 8 + 400) * test * rows
    return LensWork(
        2 * size.body * length * examples + fitted + put_on,
        batches,
        (maps + batch) / 1e6,
        (kept + answers) / 1e6,
    )
