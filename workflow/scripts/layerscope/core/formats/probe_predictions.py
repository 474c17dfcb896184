"""Files of the answers that probes give to test rows: one column a layer, a row group a probe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.core.errors import UserError
from layerscope.core.formats.activations import layer_column
from layerscope.core.formats.layer_files import TEXT, LayerFile, write_layer_file

#: What names a probe in its file: the split that it learned from, the view, its seed, and the draw
#: of the split's rows; 0 for all of them.
PLACE = {"rows": TEXT, "view": TEXT, "probe_seed": pa.int64(), "draw": pa.int64()}
Place = tuple[str, str, int, int]

#: The same for all probes.
_KEYS = ("example_id", "group_id", "label")

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
    shared = [keys[name] for name in _KEYS]
    size = len(keys["label"])
    groups = ([*([name] * size for name in place), *shared, *codes.T] for place, codes in answers)
    fields = {**PLACE, **dict.fromkeys(_KEYS, TEXT)}
    kind, value = ProbePredictions.KIND, pa.int16()
    write_layer_file(path, kind, fields, value, groups, layers, metadata, stored)


class ProbePredictions(LayerFile):
    """A file of probes' predictions, of which a column of a row group is read at a time.

    Raises:
        UserError: not such a file.
    """

    KIND = "probe-predictions"
    PLACE = tuple(PLACE)

    @cached_property
    def keys(self) -> dict[str, list[str]]:
        """`example_id`, `group_id` and `label` of the test rows."""
        found = self._read(0, list(_KEYS)).to_pydict()
        if not found["label"]:
            raise UserError(f"{self.path}: no rows; allowed: at least one")
        return found

    def predicted(self, place: Place, layer: int) -> list[str]:
        """Labels that a probe gave to the test rows."""
        column = self._read(self.places[place], [layer_column(layer)]).column(0)
        labels = self.described["labels"]
        return [labels[code] for code in column.to_pylist()]
