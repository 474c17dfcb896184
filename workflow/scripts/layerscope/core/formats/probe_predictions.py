"""Files of the answers that probes give to test rows: one column a layer, a row group a probe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from layerscope.core.errors import UserError
from layerscope.core.files import canonical_json, whole_file
from layerscope.core.formats.activations import described_layers, layer_column, stored_layers
from layerscope.core.formats.schemas import METADATA_KEY, VERSION
from layerscope.core.formats.tables import CHECKSUMS, VERIFIED, file_metadata, undamaged

KIND = "probe-predictions"
#: What names a probe in its file: the split that it learned from, the view, its seed, and the draw
#: of the split's rows; 0 for all of them.
PLACE = ("rows", "view", "probe_seed", "draw")
Place = tuple[str, str, int, int]

Codes = npt.NDArray[np.int16]


class Answers(NamedTuple):
    """Answers of the probes of all layers that share split, view, seed and draw.

    Attributes:
        place: `rows`, `view`, `probe_seed` and `draw`.
        codes: test rows x probed layers, places in the file's `labels`.
    """

    place: Place
    codes: Codes


def write_probe_predictions(
    path: str | Path,
    keys: Mapping[str, Sequence[Any]],
    answers: Iterable[Answers],
    layers: int,
    metadata: Mapping[str, Any],
    stored: Sequence[int] | None = None,
) -> None:
    """Write a file, whole or not at all.

    Args:
        path: the file.
        keys: `example_id`, `group_id` and `label` of the test rows, the same for all probes.
        answers: of the probes, each written as one row group.
        layers: how many the model has, embeddings included.
        metadata: what readers should know; `labels` and `kind_of_task` among it.
        stored: numbers of the layers that were probed, ascending; None for all.
    """
    described = {"kind": KIND, "format": VERSION, **described_layers(layers, stored), **metadata}
    text = pa.dictionary(pa.int32(), pa.string())
    names = [*PLACE, "example_id", "group_id", "label"]
    types = [text, text, pa.int64(), pa.int64(), text, text, text]
    schema = pa.schema(
        [
            *zip(names, types, strict=True),
            *((layer_column(layer), pa.int16()) for layer in stored_layers(described)),
        ],
        metadata={METADATA_KEY: canonical_json(described).encode()},
    )
    size = len(keys["label"])
    shared = [pa.array(keys[name]).dictionary_encode() for name in names[len(PLACE) :]]
    writing = {"compression": "zstd", **CHECKSUMS}
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema, **writing) as file:
        for place, codes in answers:
            texts = [pa.array([name] * size).dictionary_encode() for name in place[:2]]
            numbers = [pa.array([number] * size) for number in place[2:]]
            columns = [*texts, *numbers, *shared, *map(pa.array, codes.T)]
            file.write_table(pa.table(columns, schema=schema), row_group_size=max(size, 1))


class ProbePredictions:
    """A file of probes' predictions, of which a column of a row group is read at a time.

    Raises:
        UserError: not such a file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.described = file_metadata(path, KIND)
        self._file = pq.ParquetFile(path, **VERIFIED)
        groups = range(self._file.num_row_groups)
        first = [self._read(i, list(PLACE)).slice(0, 1).to_pylist()[0] for i in groups]
        self.places = {tuple(row[name] for name in PLACE): i for i, row in enumerate(first)}

    def _read(self, group: int, columns: list[str]) -> pa.Table:
        with undamaged(self.path):
            return self._file.read_row_group(group, columns)

    @cached_property
    def keys(self) -> dict[str, list[str]]:
        """`example_id`, `group_id` and `label` of the test rows."""
        found = self._read(0, ["example_id", "group_id", "label"]).to_pydict()
        if not found["label"]:
            raise UserError(f"{self.path}: no rows; allowed: at least one")
        return found

    def predicted(self, place: Place, layer: int) -> list[str]:
        """Labels that a probe gave to the test rows."""
        column = self._read(self.places[place], [layer_column(layer)]).column(0)
        labels = self.described["labels"]
        return [labels[code] for code in column.to_pylist()]

    @property
    def layers(self) -> list[int]:
        """Numbers of the probed layers, ascending; 0 is the embeddings."""
        return stored_layers(self.described)

    @property
    def last(self) -> int:
        """Number of the model's last layer, probed or not."""
        return int(self.described["layers"]) - 1
