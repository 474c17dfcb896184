"""Files of activations that probes read: what goes together, and labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.core.errors import UserError
from layerscope.core.formats import activation_metadata, read_keys
from layerscope.statistics import metrics

Codes = npt.NDArray[np.int64]
Keys = dict[str, list[Any]]

#: What the activations that a probe learns from and is tested on must have in common.
SHARED = ("task", "model", "variant", "model_sha256", "view", "layers", "width", "labels", "stored")


def shared_metadata(train: str | Path, test: str | Path) -> dict[str, Any]:
    """Metadata that both files have in common.

    Raises:
        UserError: they are not of the same model, view and labels.
    """
    left, right = activation_metadata(train), activation_metadata(test)
    for key in SHARED:
        if left.get(key) != right.get(key):
            raise UserError(
                f"{test}: {key} {right.get(key)!r}; allowed: {left.get(key)!r}, as in {train}"
            )
    return {key: left[key] for key in SHARED if key in left}


def read_labels(path: str | Path, names: Sequence[str]) -> tuple[Keys, Codes]:
    """Keys of the rows of a file, and the codes of their labels among names.

    Raises:
        UserError: it has no rows, or a label that is none of the names.
    """
    keys = read_keys(path)
    if not keys["label"]:
        raise UserError(f"{path}: no rows; a probe needs at least one")
    try:
        return keys, metrics.encode(keys["label"], names)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
