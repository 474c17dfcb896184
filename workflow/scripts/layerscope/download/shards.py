"""Weights in several files: an index says which of them holds which tensor."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from layerscope.core.errors import UserError, show
from layerscope.core.files import read_json_object

INDEX = "model.safetensors.index.json"


def shard_names(index: Path) -> list[str]:
    """The files that an index of weights names, in order, each once.

    Raises:
        UserError: it names none, or something else than safetensors beside it.
    """
    places = read_json_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise UserError(f"{index}: no weight_map; allowed: the file of each tensor by its name")
    for name in places.values():
        plain = isinstance(name, str) and PurePosixPath(name).name == name and "\\" not in name
        if not plain or not name.endswith(".safetensors"):
            raise UserError(
                f"{index}: weight_map names {show(name)}; allowed: safetensors beside it"
            )
    return sorted(set(places.values()))
