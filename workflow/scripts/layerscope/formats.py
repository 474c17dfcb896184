"""The Parquet formats that stages meet in: one schema a kind of file, one writer, one reader.

Every file carries in its schema metadata, below the key `layerscope`, a JSON object with `kind`,
`format` (version) and what the writer adds, such as label names or digests of what it was made
from. Readers check kind, version and columns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from layerscope.errors import UserError
from layerscope.files import canonical_json, whole_file

VERSION = 1
METADATA_KEY = b"layerscope"

_STRING_LIST = pa.list_(pa.string())
Rows: TypeAlias = Sequence[Mapping[str, Any]] | Mapping[str, Any] | pa.Table

#: Columns of each kind of file. Kinds that end in `*` may have further columns of the given type.
SCHEMAS: dict[str, dict[str, pa.DataType]] = {
    "nli": {
        "example_id": pa.string(),
        "group_id": pa.string(),
        "premise": pa.string(),
        "hypothesis": pa.string(),
        "label": pa.string(),
    },
    "ner": {
        "example_id": pa.string(),
        "group_id": pa.string(),
        "tokens": _STRING_LIST,
        "tags": _STRING_LIST,
    },
    "corpus": {"text_id": pa.string(), "text": pa.string()},
    "sample": {"example_id": pa.string()},
    # One row an example (word_index is 0) or a word; probabilities follow the label names in the
    # metadata.
    "predictions": {
        "example_id": pa.string(),
        "group_id": pa.string(),
        "word_index": pa.int32(),
        "label": pa.string(),
        "predicted": pa.string(),
        "probabilities": pa.list_(pa.float32()),
    },
    "probe": {
        "view": pa.string(),
        "layer": pa.int32(),
        "metric": pa.string(),
        "value": pa.float64(),
        "probe_seed": pa.int64(),
    },
    # One row an example, layer and head; measures that need a second model are null without one.
    "attention": {
        "example_id": pa.string(),
        "layer": pa.int32(),
        "head": pa.int32(),
        "measure": pa.string(),
        "value": pa.float32(),
    },
    "scores-table": {
        "task": pa.string(),
        "model": pa.string(),
        "architecture": pa.string(),
        "domain": pa.string(),
        "variant": pa.string(),
        "percent": pa.int32(),
        "seed": pa.int64(),
        "metric": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
    },
    "probes-table": {
        "task": pa.string(),
        "model": pa.string(),
        "variant": pa.string(),
        "percent": pa.int32(),
        "seed": pa.int64(),
        "probe": pa.string(),
        "view": pa.string(),
        "layer": pa.int32(),
        "depth": pa.float64(),
        "metric": pa.string(),
        "value": pa.float64(),
    },
    "attention-table": {
        "task": pa.string(),
        "model": pa.string(),
        "variant": pa.string(),
        "percent": pa.int32(),
        "seed": pa.int64(),
        "layer": pa.int32(),
        "head": pa.int32(),
        "measure": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
    },
    # A row a head of a fine-tuned variant; `…_before` is of the pre-trained model.
    "heads-table": {
        "task": pa.string(),
        "model": pa.string(),
        "variant": pa.string(),
        "percent": pa.int32(),
        "seed": pa.int64(),
        "layer": pa.int32(),
        "head": pa.int32(),
        "jsd": pa.float64(),
        "jsd_low": pa.float64(),
        "jsd_high": pa.float64(),
        "ceiling": pa.float64(),
        "ceiling_low": pa.float64(),
        "ceiling_high": pa.float64(),
        "null": pa.float64(),
        "null_sentence": pa.float64(),
        "moved": pa.float64(),
        "moved_low": pa.float64(),
        "moved_high": pa.float64(),
        "rank": pa.int32(),
        "entropy": pa.float64(),
        "entropy_before": pa.float64(),
        "distance": pa.float64(),
        "distance_before": pa.float64(),
        "special": pa.float64(),
        "special_before": pa.float64(),
        "first": pa.float64(),
        "first_before": pa.float64(),
    },
    "similarity": {
        "view": pa.string(),
        "layer": pa.int32(),
        "measure": pa.string(),
        "value": pa.float64(),
    },
    "similarity-table": {
        "task": pa.string(),
        "model": pa.string(),
        "variant": pa.string(),
        "percent": pa.int32(),
        "seed": pa.int64(),
        "view": pa.string(),
        "layer": pa.int32(),
        "depth": pa.float64(),
        "measure": pa.string(),
        "value": pa.float64(),
    },
    # Layers are of erased labels; shares (in percent), and draws of random ones, of masked heads.
    "intervention": {
        "intervention": pa.string(),
        "layer": pa.int32(),
        "share": pa.int32(),
        "draw": pa.int32(),
        "metric": pa.string(),
        "value": pa.float64(),
        "change": pa.float64(),
    },
    "interventions-table": {
        "task": pa.string(),
        "model": pa.string(),
        "variant": pa.string(),
        "percent": pa.int32(),
        "seed": pa.int64(),
        "intervention": pa.string(),
        "layer": pa.int32(),
        "depth": pa.float64(),
        "share": pa.int32(),
        "draw": pa.int32(),
        "metric": pa.string(),
        "value": pa.float64(),
        "change": pa.float64(),
    },
    "models-table": {
        "task": pa.string(),
        "variant": pa.string(),
        "percent": pa.int32(),
        "seed": pa.int64(),
        "view": pa.string(),
        "model": pa.string(),
        "other": pa.string(),
        "layer": pa.int32(),
        "other_layer": pa.int32(),
        "depth": pa.float64(),
        "value": pa.float64(),
    },
    "entry-table": {
        "task": pa.string(),
        "model": pa.string(),
        "variant": pa.string(),
        "percent": pa.int32(),
        "seed": pa.int64(),
        "probe": pa.string(),
        "view": pa.string(),
        "metric": pa.string(),
        "measure": pa.string(),
        "value": pa.float64(),
        "depth": pa.float64(),
    },
    "differences-table": {
        "task": pa.string(),
        "percent": pa.int32(),
        "metric": pa.string(),
        "model": pa.string(),
        "other": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "p": pa.float64(),
        "holm": pa.float64(),
        "groups": pa.int32(),
    },
    # `label` is a class or type of entity, `bin` one of confidence from 0; n is summed over seeds.
    "evaluation-table": {
        "task": pa.string(),
        "model": pa.string(),
        "variant": pa.string(),
        "percent": pa.int32(),
        "seed": pa.int64(),
        "measure": pa.string(),
        "label": pa.string(),
        "bin": pa.int32(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "n": pa.int64(),
    },
    "association-table": {
        "task": pa.string(),
        "inner measure": pa.string(),
        "metric": pa.string(),
        "statistic": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "n": pa.int32(),
    },
    "confusion-table": {
        "task": pa.string(),
        "model": pa.string(),
        "variant": pa.string(),
        "percent": pa.int32(),
        "seed": pa.int64(),
        "label": pa.string(),
        "predicted": pa.string(),
        "count": pa.int64(),
    },
    "verdict-table": {
        "task": pa.string(),
        "model": pa.string(),
        "metric": pa.string(),
        "percent": pa.int32(),
        "published": pa.float64(),
        "tolerance": pa.float64(),
        "source": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "verdict": pa.string(),
    },
    "pretraining-table": {
        "model": pa.string(),
        "corpus": pa.string(),
        "objective": pa.string(),
        "step": pa.int32(),
        "metric": pa.string(),
        "value": pa.float64(),
    },
}


def _schema(kind: str, metadata: Mapping[str, Any]) -> pa.Schema:
    described = {"kind": kind, "format": VERSION, **metadata}
    return pa.schema(
        list(SCHEMAS[kind].items()), metadata={METADATA_KEY: canonical_json(described).encode()}
    )


def write_blocks(
    path: str | Path, kind: str, blocks: Iterable[Rows], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a Parquet file of a known kind block by block, whole or not at all.

    Args:
        path, kind: the file, and a key of `SCHEMAS`.
        blocks: each a list of rows, a mapping of column name to values, or a table; none is kept.
        metadata: what readers should know besides kind and version; JSON.
    """
    schema = _schema(kind, metadata or {})
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as file:
        for rows in blocks:
            if isinstance(rows, Mapping | pa.Table):
                table = pa.table({name: rows[name] for name in schema.names}, schema=schema)
            else:
                table = pa.Table.from_pylist(list(rows), schema=schema)
            file.write_table(table)


def write_table(
    path: str | Path, kind: str, rows: Rows, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a Parquet file of a known kind from one block: see `write_blocks`."""
    write_blocks(path, kind, [rows], metadata)


def file_metadata(path: str | Path, kind: str) -> dict[str, Any]:
    """What a file says of itself.

    Raises:
        UserError: missing, not Parquet, not written by layerscope, another kind or version.
    """
    try:
        stored = pq.read_schema(path).metadata or {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a Parquet file ({error})") from None
    described = json.loads(stored.get(METADATA_KEY, b"{}"))
    found = (described.get("kind"), described.get("format"))
    if found != (kind, VERSION):
        raise UserError(
            f"{path}: kind {found[0]!r}, format {found[1]!r}; allowed: kind {kind!r}, "
            f"format {VERSION}"
        )
    return described


def read_table(
    path: str | Path,
    kind: str,
    columns: Sequence[str] | None = None,
    rows: pc.Expression | None = None,
) -> pa.Table:
    """Read a file of a known kind, checked.

    Args:
        path, kind: the file, and a key of `SCHEMAS`.
        columns, rows: names of columns, and which rows, to read; None for all.

    Raises:
        UserError: not of this kind, or a column is missing or of another type.
    """
    file_metadata(path, kind)
    schema = pq.read_schema(path)
    for name, expected in SCHEMAS[kind].items():
        index = schema.get_field_index(name)
        if index < 0 or schema.field(index).type != expected:
            found = "missing" if index < 0 else str(schema.field(index).type)
            raise UserError(f"{path}: column '{name}' is {found}; allowed: {expected}")
    return pq.read_table(path, columns=list(columns) if columns else None, filters=rows)


def read_sample(data: str | Path, sample: str | Path, kind: str) -> pa.Table:
    """The rows of a prepared table whose ids a sample holds, in the order of the table.

    Raises:
        UserError: the sample names examples that the table does not have.
    """
    table = read_table(data, kind)
    wanted = read_table(sample, "sample").column("example_id").combine_chunks()
    chosen = table.filter(pc.is_in(table.column("example_id"), value_set=wanted))
    if chosen.num_rows != len(wanted):
        raise UserError(
            f"{sample}: {len(wanted)} examples, of which {data} has {chosen.num_rows}; "
            "allowed: ids of that table, each once"
        )
    return chosen


# --- activations -------------------------------------------------------------------------------

Vectors = npt.NDArray[np.floating[Any]]


def layer_column(layer: int) -> str:
    """Name of a layer's column; 0 is the embeddings."""
    return f"layer_{layer:02d}"


class ActivationWriter:
    """Streams pooled vectors of all layers into one Parquet file, whole or not at all.

    A row is an example (NLI) or a word (NER). Columns: `example_id`, `group_id`, `word_index`
    (0 for an example), `word` (empty for an example), `label`, and `layer_00` (embeddings) to
    `layer_NN`. A layer's cell is the vector's bytes (little-endian) in a fixed-size binary: it
    encodes several times faster than a list of float16; `dtype` and `width` are in the metadata.

    Use as a context manager; call `write` with consecutive blocks of rows.
    """

    def __init__(
        self,
        path: str | Path,
        layers: int,
        width: int,
        dtype: str,
        metadata: Mapping[str, Any],
    ) -> None:
        self._context = whole_file(path)
        self._layers, self._width = layers, width
        self._dtype = np.dtype(dtype).newbyteorder("<")
        described = {
            "kind": "activations",
            "format": VERSION,
            "layers": layers,
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
                *((layer_column(layer), cell) for layer in range(layers)),
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
            vectors: rows x layers x width, any floating dtype.

        Raises:
            UserError: a value is not finite in the stored dtype.
            ValueError: the vectors have another shape than the file, or the keys another length.
        """
        shape = (len(keys["example_id"]), self._layers, self._width)
        if vectors.shape != shape:
            raise ValueError(f"vectors of shape {vectors.shape}; allowed: {shape}")
        with np.errstate(over="ignore"):
            stored = vectors.astype(self._dtype)
        # Extremes are found faster than float16 numbers are checked; of a NaN they are NaN.
        most = np.finfo(self._dtype).max
        fits = not vectors.size or -most <= vectors.min() <= vectors.max() <= most
        if not fits and not np.isfinite(stored).all():
            row, layer = (int(i) for i in np.argwhere(~np.isfinite(stored).all(axis=2))[0])
            largest = float(np.abs(vectors[row, layer]).max())
            raise UserError(
                f"activations: example {keys['example_id'][row]!r}, layer {layer}: largest value "
                f"{largest:g} does not fit {self._dtype.name}; allowed: finite values, "
                "set activations.dtype to float32 for larger ones"
            )
        columns: list[Any] = [
            pa.array(keys[name], self._schema.field(name).type)
            for name in ("example_id", "group_id", "word_index", "word", "label")
        ]
        for layer in range(self._layers):
            data = np.ascontiguousarray(stored[:, layer])
            cell = self._schema.field(layer_column(layer)).type
            columns.append(
                pa.FixedSizeBinaryArray.from_buffers(cell, len(data), [None, pa.py_buffer(data)])
            )
        self._writer.write_table(pa.table(columns, schema=self._schema))


def activation_metadata(path: str | Path) -> dict[str, Any]:
    """Metadata of a file of activations: `layers`, `width`, `dtype`, digests, pooling."""
    return file_metadata(path, "activations")


def read_keys(path: str | Path) -> dict[str, list[Any]]:
    """The key columns of a file of activations: example_id, group_id, word_index, word, label."""
    activation_metadata(path)
    names = ["example_id", "group_id", "word_index", "word", "label"]
    return pq.read_table(path, columns=names).to_pydict()


def read_layer(path: str | Path, layer: int) -> npt.NDArray[np.float32]:
    """One layer's vectors, by column projection.

    Returns:
        rows x width, float32.

    Raises:
        UserError: not a file of activations, or it has no such layer.
    """
    described = activation_metadata(path)
    if not 0 <= layer < described["layers"]:
        raise UserError(f"{path}: no layer {layer}; allowed: 0 to {described['layers'] - 1}")
    name, width = layer_column(layer), described["width"]
    dtype = np.dtype(described["dtype"]).newbyteorder("<")
    with pq.ParquetFile(path) as file:
        found = np.empty((file.metadata.num_rows, width), np.float32)
        done = 0
        # A group of rows at a time, so that memory is that of the result and of one group.
        for group in range(file.num_row_groups):
            for chunk in file.read_row_group(group, columns=[name]).column(name).chunks:
                stored = np.frombuffer(chunk.buffers()[1], dtype).reshape(-1, width)
                found[done : done + len(chunk)] = stored[chunk.offset : chunk.offset + len(chunk)]
                done += len(chunk)
    return found
