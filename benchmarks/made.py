"""Made-up vectors with classes in them, and sentences as long as real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.core.formats import ActivationWriter

Vectors = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]

#: Words in a sentence: the 0th, 2.5th, ... 100th percentile of JNLPBA's 16,619 training sentences.
WORDS = (
    2, 10, 11, 13, 14, 15, 15, 16, 17, 18, 18, 19, 20, 20, 21, 21, 22, 23, 23, 24, 25, 25, 26, 27,
    27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 38, 40, 41, 44, 48, 54, 166,
)  # fmt: skip


def sentence_lengths(count: int, seed: int = 0) -> Codes:
    """Words in each of so many sentences."""
    at = np.random.default_rng(seed).random(count) * (len(WORDS) - 1)
    return np.interp(at, np.arange(len(WORDS)), WORDS).round().astype(np.int64)


def labelled_vectors(
    rows: int, width: int, classes: int, layer: int = 0, seed: int = 0, apart: float = 0.2
) -> tuple[Vectors, Codes]:
    """Vectors with a few strong directions and many weak ones, as hidden states have.

    Classes differ in their mean, a tenth of the labels is drawn anew, and every layer is another
    turn of the space with means of its own. Labels are the same in all layers.

    Returns:
        rows x width, float32; and the class of each row.
    """
    drawn = np.random.default_rng([seed, rows, classes])
    true = drawn.integers(0, classes, rows)
    labels = np.where(drawn.random(rows) < 0.1, drawn.integers(0, classes, rows), true)
    rng = np.random.default_rng([seed, layer, width])
    turn = rng.standard_normal((width, width), dtype=np.float32) / np.float32(width**0.5)
    strength = np.arange(1, width + 1, dtype=np.float32) ** np.float32(-0.7)
    means = rng.standard_normal((classes, width), dtype=np.float32) * np.float32(apart)
    noise = np.random.default_rng([seed, layer, rows]).standard_normal((rows, width), np.float32)
    return ((noise + means[true]) * strength) @ turn, labels


def write_cache(
    folder: Path, layers: int, width: int, classes: int, train: int, test: int
) -> tuple[Path, Path]:
    """Activations of made-up pairs in the view `joint`, float16; files of train and test."""
    names = [f"class-{number}" for number in range(classes)]
    parts = {"train": slice(0, train), "test": slice(train, train + test)}
    vectors = np.empty((train + test, layers, width), np.float16)
    for layer in range(layers):
        found, labels = labelled_vectors(train + test, width, classes, layer)
        vectors[:, layer] = found
    described: dict[str, Any] = {
        "task": "made-up", "model": "made-up", "variant": "pretrained", "model_sha256": "0" * 64,
        "view": "joint", "labels": names,
    }  # fmt: skip
    for split, rows in parts.items():
        ids = [f"{split}-{number}" for number in range(rows.stop - rows.start)]
        keys = {
            "example_id": ids, "group_id": ids,
            "word_index": [0] * len(ids), "word": [""] * len(ids),
            "label": [names[code] for code in labels[rows]],
        }  # fmt: skip
        with ActivationWriter(
            folder / f"{split}.parquet", layers, width, "float16", described
        ) as writer:
            writer.write(keys, vectors[rows])
    return folder / "train.parquet", folder / "test.parquet"
