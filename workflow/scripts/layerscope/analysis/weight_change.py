"""How far fine-tuning moves the weights of each block: `‖after - before‖ / ‖before‖`.

The norm is Frobenius', over all matrices of a block taken together. Biases and the weights of
LayerNorm are left out, and so is everything outside embeddings and blocks: poolers, final norms
and heads, which a fine-tuned model gains or loses. Radiya-Dixit and Wang (2020), "How fine can
fine-tuning be? Learning efficient language models", measure how near fine-tuned models stay to the
pre-trained one in the space of parameters.

Files of weights are mapped and read a few rows at a time, so that memory does not depend on the
model. The change by an adapter (LoRA) is what its low-rank matrices add. The layout of safetensors
is read here and not by its library, which knows no bfloat16 without torch:
https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from layerscope.core.applicability import Reasons, gathered
from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object
from layerscope.core.table_files import Row, Sources, Table, path_parts, variant_keys

MEASURE = "relative_change"
#: What the matrices of a block are for.
ALL, ATTENTION, FEED_FORWARD = "all", "attention", "feed-forward"

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
#: Files of an adapter, as peft names them.
ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"
#: Numbers that are read at a time.
_BLOCK_SIZE = 1 << 20


log = logging.getLogger(__name__)


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


Matrices = Mapping[Place, Matrix]
#: Squared norms of a matrix' change, and of the matrix before.
Squares = tuple[Place, float, float]
Values = npt.NDArray[np.float64]


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
    by_name = [each for path in paths for each in _matrices_in(path)]
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


def _matrices_in(path: Path) -> Iterator[tuple[str, Matrix]]:
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
            rows, columns = shape[0], math.prod(shape[1:])  # XLNet's are width x heads x size
            yield name, Matrix(path, tensor["dtype"], (rows, columns), start)


def relative_changes(before: str | Path, after: str | Path) -> dict[tuple[int, str], float]:
    """Relative change of the weights, by layer (0 is the embeddings) and what matrices are for.

    Args:
        before: folder of the pre-trained model.
        after: folder of the fine-tuned one, or of an adapter of the pre-trained one.

    Raises:
        UserError: the two do not have the same matrices in embeddings and blocks.
    """
    old = read_matrices(before)
    if Path(after, ADAPTER).is_file():
        return _from_squares(_of_adapter(old, Path(after)))
    new = read_matrices(after)
    shapes = [{place: matrix.shape for place, matrix in found.items()} for found in (old, new)]
    if differing := shapes[0].items() ^ shapes[1].items():
        place = min(place for place, _ in differing)
        raise UserError(
            f"{after}: matrix '{place.name}' of layer {place.layer} is not that of {before};"
            " allowed: the same matrices"
        )
    return _from_squares(_between(old, new))


def _between(old: Matrices, new: Matrices) -> Iterator[Squares]:
    """Of two models with the same matrices."""
    for place in sorted(old):
        moved = norm = 0.0
        for first, second in zip(old[place].rows(), new[place].rows(), strict=True):
            moved += float(np.square(second - first).sum())
            norm += float(np.square(first).sum())
        yield place, moved, norm


def _of_adapter(old: Matrices, folder: Path) -> Iterator[Squares]:
    """Of a model with low-rank matrices beside its own: the change is `alpha / rank * up @ down`.

    Its squared norm is the trace of `(up' up) (down down')`, which are rank x rank, so that the
    change itself is never made.

    Raises:
        UserError: the model lacks a matrix that the adapter changes, or has one of another shape.
    """
    config, low_rank = read_json_object(folder / CONFIG), _read_low_rank(folder)
    scale = float(config["lora_alpha"]) / float(config["r"])
    for place, (down, up) in low_rank.items():
        shapes = {(up.shape[0], down.shape[1]), (down.shape[1], up.shape[0])}  # of Conv1D, turned
        if place not in old or old[place].shape not in shapes:
            raise UserError(
                f"{folder}: changes matrix '{place.name}' of layer {place.layer}, which its base "
                "does not have; allowed: an adapter for this base"
            )
    for place in sorted(old):
        norm = sum(float(np.square(block).sum()) for block in old[place].rows())
        down, up = low_rank.get(place, (np.zeros((1, 1)), np.zeros((1, 1))))
        yield place, scale**2 * float(np.sum((up.T @ up) * (down @ down.T))), norm


def _read_low_rank(folder: Path) -> dict[Place, tuple[Values, Values]]:
    """The two matrices of an adapter, down and up, by the matrix that they change."""
    matrices = dict(_matrices_in(folder / ADAPTER))
    found = {}
    for name, down in matrices.items():
        stem, is_down, _ = name.partition(".lora_A.")
        if is_down and (place := place_of(f"{stem}.weight")):
            up = matrices[name.replace(".lora_A.", ".lora_B.")]
            found[place] = (np.concatenate([*down.rows()]), np.concatenate([*up.rows()]))
    return found


def _from_squares(squares: Iterable[Squares]) -> dict[tuple[int, str], float]:
    """Relative changes from the squared norms of each matrix' change and of the matrix."""
    sums: dict[tuple[int, str], list[float]] = {}
    for place, moved, norm in sorted(squares):
        for matrices in {ALL, place.matrices} - {""}:
            total = sums.setdefault((place.layer, matrices), [0.0, 0.0])
            total[0] += moved
            total[1] += norm
    return {
        key: math.sqrt(moved / norm) if norm else math.nan
        for key, (moved, norm) in sorted(sums.items())
    }


def rows(before: str | Path, after: str | Path) -> list[Row]:
    """Rows of one fine-tuned variant, from folders …/{task}/{model}/{variant}."""
    keys = variant_keys(*path_parts(after, ("task", "model", "variant")))
    found = relative_changes(before, after)
    last = max((layer for layer, _ in found), default=0)
    return [
        {
            **keys,
            "layer": layer,
            "depth": layer / max(last, 1),
            "matrices": matrices,
            "measure": MEASURE,
            "value": value,
        }
        for (layer, matrices), value in found.items()
    ]


def tabulate(sources: Sources) -> dict[str, Table]:
    """A part of the table: all fine-tuned variants of a model on a task.

    A variant whose weights cannot be compared is left out, and log and description say why: it must
    not keep the other models out of the table.
    """
    before = sources.path("before")
    blocks: list[list[Row]] = []
    missing: list[tuple[str, str, Reasons]] = []
    for after in sources.files:
        try:
            blocks.append(rows(before, after))
        except UserError as error:
            log.warning("no change of weights: %s", error)
            task, model, _ = path_parts(after, ("task", "model", "variant"))
            missing.append((task, model, {"change of weights": str(error)}))
    return {"weight_change": Table(blocks, gathered(missing))}
