"""Pickled weights turned into safetensors, without running what a pickle may hold."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from layerscope.core.errors import UserError


def convert_pickle(path: Path, out: Path) -> None:
    """Write the tensors of a `torch.save` file of weights as safetensors, under the same names.

    Names stay as they are, old ones and buffers too: transformers knows them. A tensor that shares
    memory with an earlier one (tied embeddings) is written as a copy, so that a model with or
    without a head finds its own.

    Raises:
        UserError: the file is no such file, or holds anything but tensors by name.
    """
    try:
        # Only files since torch 1.6 are zip archives, which can be mapped instead of read.
        weights = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError:
        raise UserError(
            f"{path.name}: not only weights: it is damaged, or reading it would run code; "
            "allowed: tensors by name"
        ) from None
    except Exception as error:  # a damaged pickle fails in any way
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{path.name}: cannot be read as weights ({reason})") from None
    if not isinstance(weights, dict) or not weights:
        raise UserError(f"{path.name}: contains no weights; allowed: tensors by name")
    seen: set[int] = set()
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise UserError(f"{path.name}: {name!r} is not a tensor; allowed: tensors by name")
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise UserError(f"{path.name}: {name!r} is sparse or quantised; allowed: plain tensors")
        memory = tensor.untyped_storage().data_ptr()
        tensors[name] = (tensor.clone() if memory in seen else tensor).contiguous()
        seen.add(memory)
    save_file(tensors, out, {"format": "pt"})
