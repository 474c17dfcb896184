"""How similar two representations of the same examples are, and how one fills its space.

- `cka`: linear centred kernel alignment (Kornblith et al. 2019), debiased: it is made of the
  unbiased estimator of HSIC (Song et al. 2012), so that unrelated vectors have 0 on average however
  wide they are. The plain one nears 1 when there are fewer examples than dimensions.
- `anisotropy`: mean cosine of the vectors of two different examples (Ethayarajh 2019); 0 for
  vectors that point in all directions, 1 for vectors that all point in one.
- `anisotropy_centred`: the same after the mean vector has been taken away: what is left of a narrow
  cone when its common direction is not counted.
- `mutual_knn` and `procrustes`, with their nulls: see `layerscope.analysis.alignment`.

All in float64 and from products of width x width: memory does not grow with the square of examples.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from layerscope.analysis.alignment import EXAMPLES, MEASURES, NEIGHBOURS, aligned
from layerscope.core.errors import UserError
from layerscope.core.formats import activation_metadata, read_keys, read_layer, stored_layers

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]
log = logging.getLogger(__name__)

#: Test rows at most, evenly spaced: estimates differ by less than they do between seeds.
ROWS = 10_000
#: Depths that differ by no more count as equal, where only some layers are stored.
NEAR = 0.1
LEAST = 4  # examples that the unbiased estimator needs


def hsic(x: Floats, y: Floats) -> float:
    """Unbiased estimate of the Hilbert-Schmidt independence criterion with linear kernels.

    Equation 5 of Song et al. (2012), "Feature Selection via Dependence Maximization", without the
    matrices of examples x examples.

    Args:
        x: examples x width; at least 4 examples.
        y: examples x another width.
    """
    n = len(x)
    own, other = (x * x).sum(axis=1), (y * y).sum(axis=1)  # diagonals, which do not count
    trace = float(((x.T @ y) ** 2).sum() - own @ other)
    sums, others = x @ x.sum(axis=0) - own, y @ y.sum(axis=0) - other
    both = float(sums.sum() * others.sum()) / ((n - 1) * (n - 2))
    return (trace + both - 2 * float(sums @ others) / (n - 2)) / (n * (n - 3))


def cka(x: Floats, y: Floats) -> float:
    """Debiased linear CKA; NaN where a representation has no variance, or of under 4 examples.

    Args:
        x: examples x width.
        y: examples x another width.

    Raises:
        ValueError: other numbers of examples.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} examples; allowed: as many")
    if len(x) < LEAST:
        return float("nan")
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    product = hsic(x, x) * hsic(y, y)
    return hsic(x, y) / float(np.sqrt(product)) if product > 0 else float("nan")


def anisotropy(x: Floats) -> float:
    """Mean cosine of two different rows; rows of zeros have cosine 0 with all others.

    NaN of a single row.
    """
    if len(x) < 2:
        return float("nan")
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    units = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    n = len(x)
    return float(((units.sum(axis=0) ** 2).sum() - (units**2).sum()) / (n * (n - 1)))


def chosen_rows(count: int, most: int = ROWS) -> npt.NDArray[np.int64]:
    """At most `most` places, evenly spaced."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def similarities(x: Floats, y: Floats) -> dict[str, float]:
    """All measures of how similar two representations are, by name; NaN where there is none.

    Args:
        x, y: examples x width, and the same examples x another width.
    """
    fewer = chosen_rows(len(x), EXAMPLES)
    return {"cka": cka(x, y), **aligned(x[fewer], y[fewer])}


def _layer(path: Path, layer: int, rows: npt.NDArray[np.int64]) -> Floats:
    return read_layer(path, layer)[rows].astype(np.float64)


def _same_examples(path: Path, other: Path) -> npt.NDArray[np.int64]:
    """Rows to look at in both files.

    Raises:
        UserError: they hold other examples.
    """
    keys, others = read_keys(path), read_keys(other)
    for name in ("example_id", "word_index"):
        if keys[name] != others[name]:
            raise UserError(f"{other}: other examples than in {path}; allowed: the same, in order")
    count = len(keys["example_id"])
    for measure, least in (("CKA", LEAST), ("similarity of neighbours", NEIGHBOURS + 2)):
        if count < least:
            log.warning("%s: %d rows; %s needs %d and is left empty", path, count, measure, least)
    return chosen_rows(count)


def measure_variant(path: Path, before: Path | None) -> Iterator[Row]:
    """Measures of each layer of a variant, from activations of test data.

    Args:
        path: a file of activations of the variant.
        before: the same of the pre-trained model; None for that one itself.

    Yields:
        Rows of kind "similarity".

    Raises:
        UserError: the files are not of the same examples.
    """
    described = activation_metadata(path)
    rows = _same_examples(path, before or path)
    for layer in stored_layers(described):
        vectors = _layer(path, layer, rows)
        values = {
            "anisotropy": anisotropy(vectors),
            "anisotropy_centred": anisotropy(vectors - vectors.mean(axis=0)),
        }
        if before:
            values |= similarities(_layer(before, layer, rows), vectors)
        for measure, value in values.items():
            known = {"view": described["view"], "layer": layer, "measure": measure}
            yield known | {"value": value if np.isfinite(value) else None}


class Layers(NamedTuple):
    """Numbers of the layers of a model whose activations there are, and that of its last one."""

    stored: Sequence[int]
    last: int

    def depth(self, layer: int) -> float:
        """A layer over the last one: 0 for the embeddings, 1 for the last layer."""
        return layer / max(self.last, 1)


def same_depth(layers: Layers, others: Layers) -> list[tuple[int, int]]:
    """Pairs of layers of two models: each of the model with fewer, and the nearest in depth.

    Of two that are equally near it is the later one.
    """
    if layers.last > others.last:
        return [(layer, other) for other, layer in same_depth(others, layers)]

    def nearest(layer: int) -> int:
        wanted = layers.depth(layer) * others.last
        return min(others.stored, key=lambda other: (abs(other - wanted), -other))

    return [(layer, nearest(layer)) for layer in layers.stored]


def are_near(depth: float, other: float, last: int) -> bool:
    """Whether two depths count as equal: within `NEAR`, or half a layer of the deeper model.

    Args:
        depth, other: of a layer of each model.
        last: number of the deeper model's last layer. Where all are stored, they always are.
    """
    return abs(depth - other) <= max(NEAR, 0.5 / max(last, 1)) + 1e-9


def compare_models(paths: Mapping[str, Path]) -> Iterator[Row]:
    """Similarity of models at equal relative depth.

    Args:
        paths: activations of the same test data by name of the model.

    Yields:
        `model`, `other`, `view`, `layer`, `other_layer`, `depth` (of the model with fewer layers),
        `measure` and `value`, for each pair of models; null where no layer is stored that is near.

    Raises:
        UserError: the files are not of the same examples.
    """
    names = list(paths)
    described = {name: activation_metadata(path) for name, path in paths.items()}
    for place, model in enumerate(names):
        for other in names[place + 1 :]:
            rows = _same_examples(paths[model], paths[other])
            layers, others = (
                Layers(stored_layers(described[name]), described[name]["layers"] - 1)
                for name in (model, other)
            )
            last = max(layers.last, others.last)
            for layer, other_layer in same_depth(layers, others):
                depths = layers.depth(layer), others.depth(other_layer)
                known = {
                    "view": described[model]["view"],
                    "model": model,
                    "other": other,
                    "layer": layer,
                    "other_layer": other_layer,
                    "depth": depths[layers.last > others.last],
                }
                values = dict.fromkeys(("cka", *MEASURES), np.nan)
                if are_near(*depths, last):
                    values = similarities(
                        _layer(paths[model], layer, rows), _layer(paths[other], other_layer, rows)
                    )
                for measure, value in values.items():
                    yield known | {
                        "measure": measure,
                        "value": value if np.isfinite(value) else None,
                    }
