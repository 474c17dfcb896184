"""Matrices in files of weights, found by where they lie in a model and read a few rows at a time.

The layout of safetensors is read here and not by its library, which knows no bfloat16 without
torch: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from layerscope.core.errors import UserError

#: What the matrices of a block are for.
ATTENTION, FEED_FORWARD = "attention", "feed-forward"
#: ALBERT's layers share the weights of a group, which stands as one layer.
_BLOCK = re.compile(r"(?:^|\.)(?:layers?|h|blocks?|albert_layer_groups)\.(\d+)\.(.+)")
_EMBEDDINGS = re.compile(
    r"(?:^|\.)(embeddings\..+|embed_\w+\.weight|w[tp]e\.weight|word_embeddings?\.weight"
    r"|shared\.weight)$"
)
_ATTENTION = re.compile(r"attention|attn", re.IGNORECASE)
#: Of state-space and recurrent layers and convolutions, neither attention nor feed-forward.
_MIXER = re.compile(r"\b(?:mixer|mamba|conv|linear_attn|temporal_block)\.")
_DECODER = re.compile(r"(?:^|\.)decoder\.")
#: How numbers are stored, by their name in a file. bfloat16 is the upper half of float32.
_STORED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
#: Numbers that are read at a time.
_BLOCK_SIZE = 1 << 20


class Place(NamedTuple):
    """Where a matrix lies in a model, whatever its class puts before the name."""

    layer: int  # 0 for embeddings
    name: str  # within the block

    @property
    def matrices(self) -> str:
        """What it is for; empty for embeddings and state-space layers."""
        if self.layer == 0 or _MIXER.search(self.name):
            return ""
        return ATTENTION if _ATTENTION.search(self.name) else FEED_FORWARD


class Matrix(NamedTuple):
    """A matrix in a file, and how to read it."""

    path: Path
    stored: str
    shape: tuple[int, int]
    start: int

    def rows(self) -> Iterator[npt.NDArray[np.float64]]:
        """Its rows, some at a time."""
        kind = _STORED[self.stored]
        held = np.memmap(self.path, kind, mode="r", offset=self.start, shape=self.shape)
        step = max(_BLOCK_SIZE // max(self.shape[1], 1), 1)
        for first in range(0, self.shape[0], step):
            block: npt.NDArray[Any] = np.asarray(held[first : first + step])
            if self.stored == "BF16":
                block = (block.astype("<u4") << 16).view("<f4")
            yield block.astype(np.float64)


def place_of(name: str) -> Place | None:
    """Where a tensor lies; None for one of a head, a pooler or a final norm."""
    if found := _BLOCK.search(name):
        return Place(int(found[1]) + 1, found[2])
    if found := _EMBEDDINGS.search(name):
        return Place(0, found[1])
    return None


#: Embeddings of an encoder-decoder, and the copy of them that its encoder may have.
SHARED, COPIED = Place(0, "shared.weight"), Place(0, "embed_tokens.weight")


def read_matrices(folder: str | Path) -> dict[Place, Matrix]:
    """The matrices of a model's embeddings and blocks.

    Raises:
        UserError: the folder has no readable weights, or two of its tensors have the same place.
    """
    paths = sorted(Path(folder).glob("*.safetensors"))  # several, where a model is in shards
    if not paths:
        raise UserError(f"{folder}: no weights; allowed: a folder with safetensors")
    by_name = [each for path in paths for each in matrices_in(path)]
    both = any("encoder." in name for name, _ in by_name)
    found: dict[Place, Matrix] = {}
    for name, matrix in by_name:
        place = place_of(name)
        if place is None or (both and _DECODER.search(name)):  # the encoder alone is studied
            continue
        if place in found:
            raise UserError(f"{matrix.path}: two matrices '{place.name}' in layer {place.layer}")
        found[place] = matrix
    if SHARED in found:  # pickles hold a copy of it beside
        found.pop(COPIED, None)
    return found


def matrices_in(path: Path) -> Iterator[tuple[str, Matrix]]:
    """Names and matrices of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: unreadable weights ({error}); allowed: safetensors") from None
    for name, tensor in header.items():
        shape = tensor.get("shape", ())
        if tensor.get("dtype") in _STORED and len(shape) in (2, 3):
            start = 8 + size + tensor["data_offsets"][0]
            yield name, Matrix(path, tensor["dtype"], _flat(shape), start)


def _flat(shape: Sequence[int]) -> tuple[int, int]:
    """Two axes in place of three: the more square of the two ways.

    XLNet's matrices are width x heads x size; those of experts are experts x width x inner width.
    """
    ways = [(shape[0], math.prod(shape[1:])), (math.prod(shape[:-1]), shape[-1])]
    return min(ways, key=max)
