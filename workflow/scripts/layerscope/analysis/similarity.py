"""How similar two representations of the same examples are, and how one fills its space.

- `cka`: linear centred kernel alignment (Kornblith et al. 2019), debiased: it is made of the
  unbiased estimator of HSIC (Song et al. 2012), so that unrelated vectors have 0 on average however
  wide they are. The plain one nears 1 when there are fewer examples than dimensions.
- `anisotropy`: mean cosine of the vectors of two different examples (Ethayarajh 2019); 0 for
  vectors that point in all directions, 1 for vectors that all point in one.
- `anisotropy_centred`: the same after the mean vector has been taken away: what is left of a narrow
  cone when its common direction is not counted.

All in float64 and from products of width x width: memory does not grow with the square of examples.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.core.errors import UserError
from layerscope.core.formats import activation_metadata, read_keys, read_layer

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]
log = logging.getLogger(__name__)

#: Test rows at most, evenly spaced: estimates differ by less than they do between seeds.
ROWS = 10_000
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


def chosen_rows(count: int) -> npt.NDArray[np.int64]:
    """At most `ROWS` places, evenly spaced."""
    return np.linspace(0, count - 1, min(count, ROWS)).round().astype(np.int64)


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
    if len(keys["example_id"]) < LEAST:
        log.warning(
            "%s: %d rows; CKA needs %d and is left empty", path, len(keys["example_id"]), LEAST
        )
    return chosen_rows(len(keys["example_id"]))


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
    for layer in range(described["layers"]):
        vectors = _layer(path, layer, rows)
        values = {
            "anisotropy": anisotropy(vectors),
            "anisotropy_centred": anisotropy(vectors - vectors.mean(axis=0)),
        }
        if before:
            values["cka"] = cka(_layer(before, layer, rows), vectors)
        for measure, value in values.items():
            known = {"view": described["view"], "layer": layer, "measure": measure}
            yield known | {"value": value if np.isfinite(value) else None}


def same_depth(layers: int, others: int) -> list[tuple[int, int]]:
    """Pairs of layers at equal relative depth: each of the model with fewer, and its nearest.

    Args:
        layers, others: numbers of states of two models, embeddings included.
    """
    if layers > others:
        return [(layer, other) for other, layer in same_depth(others, layers)]
    last, further = max(layers - 1, 1), others - 1
    return [(layer, int(np.floor(layer / last * further + 0.5))) for layer in range(layers)]


def compare_models(paths: Mapping[str, Path]) -> Iterator[Row]:
    """CKA between models at equal relative depth.

    Args:
        paths: activations of the same test data by name of the model.

    Yields:
        `model`, `other`, `view`, `layer`, `other_layer`, `depth` (of the model with fewer layers)
        and `value`, for each pair of models.

    Raises:
        UserError: the files are not of the same examples.
    """
    names = list(paths)
    described = {name: activation_metadata(path) for name, path in paths.items()}
    for place, model in enumerate(names):
        for other in names[place + 1 :]:
            rows = _same_examples(paths[model], paths[other])
            pairs = same_depth(described[model]["layers"], described[other]["layers"])
            for number, (layer, other_layer) in enumerate(pairs):
                value = cka(
                    _layer(paths[model], layer, rows), _layer(paths[other], other_layer, rows)
                )
                yield {
                    "view": described[model]["view"],
                    "model": model,
                    "other": other,
                    "layer": layer,
                    "other_layer": other_layer,
                    "depth": number / max(len(pairs) - 1, 1),
                    "value": value if np.isfinite(value) else None,
                }
