"""How far fine-tuning moves the weights of each block, and in how many directions.

Three measures of the difference of a block's matrices after and before fine-tuning. Biases and the
weights of LayerNorm are left out, and so is everything outside embeddings and blocks: poolers,
final norms and heads, which a fine-tuned model gains or loses.

- `relative_change`: `‖after - before‖ / ‖before‖` in Frobenius' norm, over all matrices of a block
  taken together. Radiya-Dixit and Wang (2020), "How fine can fine-tuning be? Learning efficient
  language models", measure how near fine-tuned models stay to the pre-trained one.
- `spectral_change`: the same ratio of spectral norms (largest singular values), of each matrix by
  itself; the mean over matrices.
- `stable_rank`: `‖difference‖² / (spectral norm of the difference)²` with Frobenius' norm above
  (Rudelson and Vershynin 2007, "Sampling from large matrices"): 1 if the difference has one
  direction, and never more than its rank; the mean over the matrices that differ.

Files of weights are mapped and read a few rows at a time, so that memory does not depend on the
model; a largest singular value is found by Lanczos' method, which reads a matrix some twenty times.
The change by an adapter (LoRA) is what its low-rank matrices add.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator, eigsh

from layerscope.analysis.weight_files import Matrix, Place, matrices_in, place_of, read_matrices
from layerscope.core.applicability import Reasons, gathered
from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object
from layerscope.core.table_files import Row, Sources, Table, path_parts, variant_keys

FROBENIUS, SPECTRAL, STABLE_RANK = "relative_change", "spectral_change", "stable_rank"
MEASURES = (FROBENIUS, SPECTRAL, STABLE_RANK)
#: Matrices of whatever kind.
ALL = "all"
#: Files of an adapter, as peft names them.
ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"
#: A matrix with fewer numbers stays in memory while its largest singular value is sought.
_HELD = 1 << 26

log = logging.getLogger(__name__)

Values = npt.NDArray[np.float64]
#: Rows of a matrix, some at a time, from the first one each time that it is called.
Reader = Callable[[], Iterable[Values]]


class Norms(NamedTuple):
    """Of one matrix."""

    squared: float  # Frobenius, squared
    spectral: float


class Change(NamedTuple):
    """How a matrix differs, and what it was before."""

    place: Place
    difference: Norms
    before: Norms


def weight_changes(before: str | Path, after: str | Path) -> dict[tuple[int, str, str], float]:
    """Changes of the weights by layer (0 is the embeddings), what matrices are for, and measure.

    Args:
        before: folder of the pre-trained model.
        after: folder of the fine-tuned one, or of an adapter of the pre-trained one.

    Returns:
        NaN where there is nothing to divide by: no weights before, or no difference.

    Raises:
        UserError: the two do not have the same matrices in embeddings and blocks.
    """
    old = read_matrices(before)
    if Path(after, ADAPTER).is_file():
        return _by_layer(_of_adapter(old, Path(after)))
    new = read_matrices(after)
    shapes = [{place: matrix.shape for place, matrix in found.items()} for found in (old, new)]
    if differing := shapes[0].items() ^ shapes[1].items():
        place = min(place for place, _ in differing)
        raise UserError(
            f"{after}: matrix '{place.name}' of layer {place.layer} is not that of {before};"
            " allowed: the same matrices"
        )
    return _by_layer(_between(place, old[place], new[place]) for place in sorted(old))


def _between(place: Place, old: Matrix, new: Matrix) -> Change:
    """Of a matrix before and after."""

    def difference() -> Iterator[Values]:
        return (second - first for first, second in zip(old.rows(), new.rows(), strict=True))

    return Change(place, norms(difference, old.shape), norms(old.rows, old.shape))


def norms(rows: Reader, shape: tuple[int, int]) -> Norms:
    """Frobenius' norm and the spectral norm of a matrix.

    Args:
        rows: gives its rows, some at a time, from the first one each time that it is called.
        shape: of the matrix.
    """
    if math.prod(shape) <= _HELD:
        held = list(rows())
        read: Reader = lambda: held  # noqa: E731
    else:
        read = rows
    squared = sum(float(np.square(block).sum()) for block in read())
    if squared == 0 or min(shape) == 1:
        return Norms(squared, math.sqrt(squared))

    def twice(vector: Values) -> Values:
        product = np.zeros(shape[1])
        for block in read():
            product += block.T @ (block @ vector)
        return product

    random = np.random.default_rng(0)
    (largest,) = eigsh(
        LinearOperator((shape[1], shape[1]), matvec=twice, dtype=np.float64),
        k=1,
        v0=random.standard_normal(shape[1]),
        rng=random,
        tol=1e-6,
        return_eigenvectors=False,
    )
    return Norms(squared, math.sqrt(largest))


def _of_adapter(old: Mapping[Place, Matrix], folder: Path) -> Iterator[Change]:
    """Of a model with low-rank matrices beside its own: the change is `alpha / rank * up @ down`.

    Its singular values are those of a matrix of rank x rank, so that the change itself is never
    made.

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
        down, up = low_rank.get(place, (np.zeros((1, 1)), np.zeros((1, 1))))
        left, right = np.linalg.qr(up).R, np.linalg.qr(down.T).R
        singular = scale * np.linalg.svd(left @ right.T, compute_uv=False)
        difference = Norms(float(np.square(singular).sum()), float(singular[0]))
        yield Change(place, difference, norms(old[place].rows, old[place].shape))


def _read_low_rank(folder: Path) -> dict[Place, tuple[Values, Values]]:
    """The two matrices of an adapter, down and up, by the matrix that they change."""
    matrices = dict(matrices_in(folder / ADAPTER))
    found = {}
    for name, down in matrices.items():
        stem, is_down, _ = name.partition(".lora_A.")
        if is_down and (place := place_of(f"{stem}.weight")):
            up = matrices[name.replace(".lora_A.", ".lora_B.")]
            found[place] = (np.concatenate([*down.rows()]), np.concatenate([*up.rows()]))
    return found


def _by_layer(changes: Iterable[Change]) -> dict[tuple[int, str, str], float]:
    """The measures of each layer's matrices of a kind, from the norms of each matrix."""
    groups: dict[tuple[int, str], list[Change]] = {}
    for change in sorted(changes):
        for matrices in {ALL, change.place.matrices} - {""}:
            groups.setdefault((change.place.layer, matrices), []).append(change)
    return {
        (*key, measure): value
        for key in sorted(groups)
        for measure, value in _measures(groups[key]).items()
    }


def _measures(changes: Sequence[Change]) -> dict[str, float]:
    moved = math.fsum(each.difference.squared for each in changes)
    norm = math.fsum(each.before.squared for each in changes)
    ratios = [e.difference.spectral / e.before.spectral for e in changes if e.before.spectral]
    ranks = [
        each.difference.squared / each.difference.spectral**2
        for each in changes
        if each.difference.spectral
    ]
    return {
        FROBENIUS: math.sqrt(moved / norm) if norm else math.nan,
        SPECTRAL: math.fsum(ratios) / len(ratios) if ratios else math.nan,
        STABLE_RANK: math.fsum(ranks) / len(ranks) if ranks else math.nan,
    }


def rows(before: str | Path, after: str | Path) -> list[Row]:
    """Rows of one fine-tuned variant, from folders …/{task}/{model}/{variant}."""
    keys = variant_keys(*path_parts(after, ("task", "model", "variant")))
    found = weight_changes(before, after)
    last = max((layer for layer, _, _ in found), default=0)
    return [
        {
            **keys,
            "layer": layer,
            "depth": layer / max(last, 1),
            "matrices": matrices,
            "measure": measure,
            "value": None if math.isnan(value) else value,
        }
        for (layer, matrices, measure), value in found.items()
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
