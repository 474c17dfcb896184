"""Weights in safetensors: whether a file is whole, and of several, which one holds which tensor."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

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


def require_whole(path: Path) -> None:
    """Check that a file of safetensors is as long as its header says; no tensor is read.

    Raises:
        UserError: it is cut off, or no safetensors file.
    """
    size, wanted = path.stat().st_size, _stated_size(path)
    if wanted != size:
        stated = "no readable header" if wanted is None else f"{wanted:,} in its header"
        raise UserError(
            f"{path}: {size:,} bytes, {stated}; allowed: the whole file as it was published"
        )


def _stated_size(path: Path) -> int | None:
    """Bytes of a file of safetensors by its header; None if that cannot be read."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length >= path.stat().st_size:
                return None
            header: Any = json.loads(file.read(length))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name[:2] != "__"]
        return int(8 + length + max(ends, default=0))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
