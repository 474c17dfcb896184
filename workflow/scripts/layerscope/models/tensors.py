"""Tensors of the safetensors in a folder, one file or several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open


def read_tensors(
    folder: str | Path, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, torch.Tensor]:
    """Tensors by name, on the processor, as they are stored; of others nothing is read.

    Args:
        folder: with weights, in shards or not.
        wanted: whether to read a tensor, given its name.
    """
    found: dict[str, torch.Tensor] = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            found |= {name: file.get_tensor(name) for name in file.keys() if wanted(name)}  # noqa: SIM118
    return found
