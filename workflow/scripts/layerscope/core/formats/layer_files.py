"""Files with a column for each layer, of which a row group is written and read at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from layerscope.core.files import canonical_json, whole_file
from layerscope.core.formats.activations import described_layers, layer_column, stored_layers
from layerscope.core.formats.schemas import METADATA_KEY, VERSION
from layerscope.core.formats.tables import CHECKSUMS, VERIFIED, file_metadata, undamaged

TEXT = pa.dictionary(pa.int32(), pa.string())


def write_layer_file(
    path: str | Path,
    kind: str,
    fields: Mapping[str, pa.DataType],
    value: pa.DataType,
    groups: Iterable[Sequence[Any]],
    layers: int,
    metadata: Mapping[str, Any],
    stored: Sequence[int] | None = None,
) -> None:
    """Write a file, whole or not at all.

    Args:
        path: the file.
        kind: of the file, in its metadata.
        fields: columns before those of the layers.
        value: type of the layers' columns.
        groups: columns of each row group, values of all fields and of all stored layers.
        layers: how many the model has, embeddings included.
        metadata: what readers should know besides.
        stored: numbers of the layers that there are, ascending; None for all.
    """
    described = {"kind": kind, "format": VERSION, **described_layers(layers, stored), **metadata}
    columns = [(layer_column(layer), value) for layer in stored_layers(described)]
    schema = pa.schema(
        [*fields.items(), *columns], metadata={METADATA_KEY: canonical_json(described).encode()}
    )
    writing = {"compression": "zstd", **CHECKSUMS}
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema, **writing) as file:
        for group in groups:
            arrays = [
                pa.array(values).dictionary_encode()
                if field.type == TEXT
                else pa.array(values, field.type)
                for field, values in zip(schema, group, strict=True)
            ]
            table = pa.table(arrays, schema=schema)
            file.write_table(table, row_group_size=max(table.num_rows, 1))


class LayerFile:
    """Such a file; each row group has a place, which the first row names.

    Raises:
        UserError: not a file of this kind.
    """

    KIND: ClassVar[str]
    #: Columns that name a row group.
    PLACE: ClassVar[tuple[str, ...]]

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.described = file_metadata(path, self.KIND)
        self._file = pq.ParquetFile(path, **VERIFIED)
        groups = range(self._file.num_row_groups)
        first = [self._read(i, list(self.PLACE)).slice(0, 1).to_pylist()[0] for i in groups]
        self.places = {tuple(row[name] for name in self.PLACE): i for i, row in enumerate(first)}

    def _read(self, group: int, columns: list[str]) -> pa.Table:
        with undamaged(self.path):
            return self._file.read_row_group(group, columns)

    @property
    def layers(self) -> list[int]:
        """Numbers of the layers that there are, ascending; 0 is the embeddings."""
        return stored_layers(self.described)

    @property
    def last(self) -> int:
        """Number of the model's last layer, whether it is there or not."""
        return int(self.described["layers"]) - 1
