"""One process that writes or reads a file of activations, and says what memory it took.

python benchmarks/cache_child.py write|read ROWS WIDTH FILE
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.core.formats import ActivationWriter, read_layer

LAYERS = 13  # of BERT-base, embeddings included
BLOCK = 5_000  # rows in memory at a time; 256 sentences have about 6,800 words

Vectors = npt.NDArray[np.float32]


def keys(count: int) -> dict[str, list[Any]]:
    """Key columns of words, 25 to a sentence."""
    rows = range(count)
    return {
        "example_id": [f"sentence-{row // 25}" for row in rows],
        "group_id": [f"abstract-{row // 250}" for row in rows],
        "word_index": [row % 25 for row in rows],
        "word": [f"word-{row % 9973}" for row in rows],
        "label": ["B-x" if row % 7 == 0 else "O" for row in rows],
    }


def vectors(count: int, width: int) -> Vectors:
    """A block of made-up vectors: rows x layers x width."""
    return np.random.default_rng(0).standard_normal((count, LAYERS, width), np.float32)


def blocks(rows: int) -> Iterator[int]:
    """Rows of each block; all but the last are full."""
    for start in range(0, rows, BLOCK):
        yield min(BLOCK, rows - start)


def write(path: Path, rows: int, names: dict[str, list[Any]], block: Vectors) -> None:
    """Write a file with ActivationWriter, as extraction does: block by block, each the same."""
    with ActivationWriter(path, LAYERS, block.shape[2], "float16", {}) as writer:
        for count in blocks(rows):
            part = {name: values[:count] for name, values in names.items()}
            writer.write(part, block[:count])


def peak_mb() -> float:
    """Most memory that this process has had, in MB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not say how much memory a process had at most")


def main() -> None:
    """Do one or the other, and print the figures as JSON."""
    what, rows, width, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    before = peak_mb()
    begun = time.perf_counter()
    if what == "write":
        count = min(BLOCK, rows)
        write(path, rows, keys(count), vectors(count, width))
    else:
        read_layer(path, LAYERS // 2)
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), "start_mb": before}))


if __name__ == "__main__":
    main()
