"""Files of activations: one column a layer, written in blocks, read a layer at a time."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from layerscope.core.errors import UserError
from layerscope.core.files import canonical_json, whole_file
from layerscope.core.formats.schemas import METADATA_KEY, VERSION
from layerscope.core.formats.tables import CHECKSUMS, VERIFIED, file_metadata, undamaged

Vectors = npt.NDArray[np.floating[Any]]


def layer_column(layer: int) -> str:
    """Name of a layer's column; 0 is the embeddings."""
    return f"layer_{layer:02d}"


def stored_layers(described: Mapping[str, Any]) -> list[int]:
    """Numbers of the layers in a file of activations or of probes' answers, from its metadata."""
    return list(described.get("stored", range(described["layers"])))


def described_layers(layers: int, stored: Sequence[int] | None) -> dict[str, Any]:
    """What such a file says of its layers: how many the model has, and which of them are there."""
    some = stored is not None and len(stored) < layers
    return {"layers": layers} | ({"stored": list(stored or ())} if some else {})


class ActivationWriter:
    """Streams pooled vectors of all layers into one Parquet file, whole or not at all.

    A row is an example, or a word (NER). Columns: `example_id`, `group_id`, `word_index`
    (0 for an example), `word` (empty for an example), `label`, and `layer_00` (embeddings) to
    `layer_NN`. A layer's cell is the vector's bytes (little-endian) in a fixed-size binary: it
    encodes several times faster than a list of float16; `dtype` and `width` are in the metadata.

    Use as a context manager; call `write` with consecutive blocks of rows.

    Args:
        path: the file.
        layers: how many the model has, embeddings included.
        width: of a vector.
        dtype: of the stored vectors.
        metadata: what readers should know besides these.
        stored: numbers of the layers that are written, ascending; None for all.
    """

    def __init__(
        self,
        path: str | Path,
        layers: int,
        width: int,
        dtype: str,
        metadata: Mapping[str, Any],
        stored: Sequence[int] | None = None,
    ) -> None:
        self._context = whole_file(path)
        self._layers = list(range(layers)) if stored is None else list(stored)
        self._width = width
        self._dtype = np.dtype(dtype).newbyteorder("<")
        described = {
            "kind": "activations",
            "format": VERSION,
            **described_layers(layers, stored),
            "width": width,
            "dtype": dtype,
            **metadata,
        }
        cell = pa.binary(width * self._dtype.itemsize)
        self._schema = pa.schema(
            [
                ("example_id", pa.string()),
                ("group_id", pa.string()),
                ("word_index", pa.int32()),
                ("word", pa.string()),
                ("label", pa.string()),
                *((layer_column(layer), cell) for layer in self._layers),
            ],
            metadata={METADATA_KEY: canonical_json(described).encode()},
        )

    def __enter__(self) -> ActivationWriter:
        partial = self._context.__enter__()
        self._writer = pq.ParquetWriter(
            partial,
            self._schema,
            compression="none",
            use_dictionary=["group_id", "label"],
            write_statistics=False,
            **CHECKSUMS,
        )
        return self

    def __exit__(self, *exception: Any) -> None:
        try:
            self._writer.close()
        except BaseException:
            exception = sys.exc_info()
            raise
        finally:
            self._context.__exit__(*exception)

    def write(self, keys: Mapping[str, Sequence[Any]], vectors: Vectors) -> None:
        """Append rows.

        Args:
            keys: `example_id`, `group_id`, `word_index`, `word`, `label`, a value a row each.
            vectors: rows x stored layers x width, any floating dtype.

        Raises:
            UserError: a value is not finite in the stored dtype.
            ValueError: the vectors have another shape than the file, or the keys another length.
        """
        shape = (len(keys["example_id"]), len(self._layers), self._width)
        if vectors.shape != shape:
            raise ValueError(f"vectors of shape {vectors.shape}; allowed: {shape}")
        with np.errstate(over="ignore"):
            stored = vectors.astype(self._dtype)
        # Extremes are found faster than float16 numbers are checked; of a NaN they are NaN.
        most = np.finfo(self._dtype).max
        fits = not vectors.size or -most <= vectors.min() <= vectors.max() <= most
        if not fits and not np.isfinite(stored).all():
            row, place = (int(i) for i in np.argwhere(~np.isfinite(stored).all(axis=2))[0])
            largest = float(np.abs(vectors[row, place]).max())
            raise UserError(
                f"activations: example {keys['example_id'][row]!r}, layer {self._layers[place]}: "
                f"largest value {largest:g} does not fit {self._dtype.name}; allowed: finite "
                "values, set activations.dtype to float32 for larger ones"
            )
        columns: list[Any] = [
            pa.array(keys[name], self._schema.field(name).type)
            for name in ("example_id", "group_id", "word_index", "word", "label")
        ]
        for place, layer in enumerate(self._layers):
            data = np.ascontiguousarray(stored[:, place])
            cell = self._schema.field(layer_column(layer)).type
            columns.append(
                pa.FixedSizeBinaryArray.from_buffers(cell, len(data), [None, pa.py_buffer(data)])
            )
        self._writer.write_table(pa.table(columns, schema=self._schema))


def activation_metadata(path: str | Path) -> dict[str, Any]:
    """Metadata of a file of activations: `layers`, `width`, `dtype`, digests, pooling.

    `layers` counts those of the model; `stored` names those in the file where it has not all.
    """
    return file_metadata(path, "activations")


def read_keys(path: str | Path) -> dict[str, list[Any]]:
    """The key columns of a file of activations: example_id, group_id, word_index, word, label."""
    activation_metadata(path)
    names = ["example_id", "group_id", "word_index", "word", "label"]
    with undamaged(path):
        found: dict[str, list[Any]] = pq.read_table(path, columns=names, **VERIFIED).to_pydict()
    return found


def read_layer(path: str | Path, layer: int) -> npt.NDArray[np.float32]:
    """One layer's vectors, by column projection.

    Returns:
        rows x width, float32.

    Raises:
        UserError: not a file of activations, it has no such layer, or a value is not finite.

    A study has them in `results/{study}/activations/{task}/{model}/{variant}/{view}/`.
    Here, two examples and three layers:

    >>> shape = {"layers": 3, "width": 4, "dtype": "float16", "metadata": {}}
    >>> keys = {"example_id": ["a", "b"], "group_id": ["a", "b"], "word_index": [0, 0]}
    >>> keys |= {"word": ["", ""], "label": ["neutral", "entailment"]}
    >>> with ActivationWriter("test.parquet", **shape) as file:
    ...     file.write(keys, np.arange(24.0).reshape(2, 3, 4))
    >>> read_layer("test.parquet", 0)
    array([[ 0.,  1.,  2.,  3.],
           [12., 13., 14., 15.]], dtype=float32)
    >>> read_keys("test.parquet")["label"]
    ['neutral', 'entailment']
    >>> activation_metadata("test.parquet")["layers"]
    3
    """
    described = activation_metadata(path)
    there = stored_layers(described)
    if layer not in there:
        some = ", ".join(map(str, there)) if "stored" in described else f"0 to {there[-1]}"
        raise UserError(f"{path}: no layer {layer}; allowed: {some}")
    name, width = layer_column(layer), described["width"]
    dtype = np.dtype(described["dtype"]).newbyteorder("<")
    with undamaged(path), pq.ParquetFile(path, **VERIFIED) as file:
        found = np.empty((file.metadata.num_rows, width), np.float32)
        done = 0
        # A group of rows at a time, so that memory is that of the result and of one group.
        for group in range(file.num_row_groups):
            for chunk in file.read_row_group(group, columns=[name]).column(name).chunks:
                stored = np.frombuffer(chunk.buffers()[1], dtype).reshape(-1, width)
                found[done : done + len(chunk)] = stored[chunk.offset : chunk.offset + len(chunk)]
                done += len(chunk)
    if not np.isfinite(found).all():
        row = int(np.argwhere(~np.isfinite(found).all(axis=1))[0, 0])
        raise UserError(f"{path}: layer {layer}, row {row}: not finite; allowed: finite values")
    return found
