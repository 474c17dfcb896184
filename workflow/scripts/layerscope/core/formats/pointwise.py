"""Files of the bits that vectors tell of each test row's label: a column a layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from layerscope.core.files import canonical_json, whole_file
from layerscope.core.formats.activations import described_layers, layer_column, stored_layers
from layerscope.core.formats.schemas import METADATA_KEY, VERSION
from layerscope.core.formats.tables import CHECKSUMS, VERIFIED, file_metadata, undamaged

KIND = "pointwise-information"

Bits = npt.NDArray[np.float32]
#: What names a row group: the view, and the family of predictors.
Place = tuple[str, str]

_TEXT = pa.dictionary(pa.int32(), pa.string())
_KEYS = {
    "example_id": _TEXT,
    "group_id": _TEXT,
    "word_index": pa.int32(),
    "label": _TEXT,
    "label_bits": pa.float32(),
}


class Pointwise(NamedTuple):
    """Bits of test rows, of one view and family.

    Attributes:
        place: view and family.
        keys: `example_id`, `group_id`, `word_index` (0 for an example), `label` and `label_bits`,
            what the label takes without vectors, a value a row each.
        bits: test rows x stored layers.
    """

    place: Place
    keys: Mapping[str, Sequence[Any]]
    bits: Bits


def write_pointwise(
    path: str | Path,
    blocks: Iterable[Pointwise],
    layers: int,
    metadata: Mapping[str, Any],
    stored: Sequence[int] | None = None,
) -> None:
    """Write a file, whole or not at all; each block is a row group.

    Args:
        path: the file.
        blocks: bits by view and family.
        layers: how many the model has, embeddings included.
        metadata: what readers should know besides.
        stored: numbers of the layers that there are, ascending; None for all.
    """
    described = {"kind": KIND, "format": VERSION, **described_layers(layers, stored), **metadata}
    columns = [layer_column(layer) for layer in stored_layers(described)]
    schema = pa.schema(
        [("view", _TEXT), ("family", _TEXT), *_KEYS.items(), *((c, pa.float32()) for c in columns)],
        metadata={METADATA_KEY: canonical_json(described).encode()},
    )
    writing = {"compression": "zstd", **CHECKSUMS}
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema, **writing) as file:
        for place, keys, bits in blocks:
            names = [pa.array([name] * len(bits)).dictionary_encode() for name in place]
            found = [
                pa.array(keys[name]).dictionary_encode()
                if kind == _TEXT
                else pa.array(keys[name], kind)
                for name, kind in _KEYS.items()
            ]
            table = pa.table([*names, *found, *map(pa.array, bits.T)], schema=schema)
            file.write_table(table, row_group_size=max(len(bits), 1))


class PointwiseFile:
    """A file of bits, of which a row group is read at a time.

    Raises:
        UserError: not such a file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.described = file_metadata(path, KIND)
        self._file = pq.ParquetFile(path, **VERIFIED)
        groups = range(self._file.num_row_groups)
        first = [
            self._read(group, ["view", "family"]).slice(0, 1).to_pylist()[0] for group in groups
        ]
        self.places: dict[Place, int] = {
            (row["view"], row["family"]): group for group, row in enumerate(first)
        }

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

    def block(self, place: Place) -> Pointwise:
        """What the file has of a view and family."""
        names = [layer_column(layer) for layer in self.layers]
        found = self._read(self.places[place], [*_KEYS, *names])
        bits = np.stack([found[name].to_numpy() for name in names], axis=1)
        return Pointwise(place, found.select(list(_KEYS)).to_pydict(), bits)
