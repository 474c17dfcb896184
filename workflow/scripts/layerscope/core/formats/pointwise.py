"""Files of the bits that vectors tell of each test row's label: a column a layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.core.formats.activations import layer_column
from layerscope.core.formats.layer_files import TEXT, LayerFile, write_layer_file

Bits = npt.NDArray[np.float32]
#: What names a row group: the view, and the family of predictors.
Place = tuple[str, str]

_KEYS = {
    "example_id": TEXT,
    "group_id": TEXT,
    "word_index": pa.int32(),
    "label": TEXT,
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
    fields = {"view": TEXT, "family": TEXT, **_KEYS}
    groups = (
        [*([name] * len(bits) for name in place), *(keys[name] for name in _KEYS), *bits.T]
        for place, keys, bits in blocks
    )
    kind, value = PointwiseFile.KIND, pa.float32()
    write_layer_file(path, kind, fields, value, groups, layers, metadata, stored)


class PointwiseFile(LayerFile):
    """A file of bits, of which a row group is read at a time.

    Raises:
        UserError: not such a file.
    """

    KIND = "pointwise-information"
    PLACE = ("view", "family")

    def block(self, place: Place) -> Pointwise:
        """What the file has of a view and family."""
        names = [layer_column(layer) for layer in self.layers]
        found = self._read(self.places[place], [*_KEYS, *names])
        bits = np.stack([found[name].to_numpy() for name in names], axis=1)
        return Pointwise(place, found.select(list(_KEYS)).to_pydict(), bits)
