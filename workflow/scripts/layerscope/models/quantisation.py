"""Weights in four bits: the frozen base of an adapter, by bitsandbytes.

Dettmers et al. (2023), "QLoRA: Efficient Finetuning of Quantized LLMs": the linear layers of the
body are stored as 4-bit NormalFloats with quantised scales, and multiplied in bfloat16. Embeddings,
norms and the head stay as they are.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from layerscope.core.errors import UserError
from layerscope.models.adapters import target_modules
from layerscope.models.placement import device


def quantise(model: PreTrainedModel) -> PreTrainedModel:
    """Turn the linear layers of a model's body into layers of four bits, on the device.

    Returns:
        The same model.

    Raises:
        UserError: there is no GPU, the package is not installed, or the model has other layers.
    """
    if not _has_gpu():
        raise UserError("quantisation '4bit': there is no GPU here; allowed: a GPU, or null")
    if find_spec("bitsandbytes") is None:
        raise UserError(
            "quantisation '4bit': the package bitsandbytes is not installed; allowed: null, or "
            "`pip install bitsandbytes`"
        )
    layers: Any = import_module("bitsandbytes.nn")  # by name: no environment has it
    for name in target_modules(model, "all-linear"):
        layer: Any = model.get_submodule(name)
        if not isinstance(layer, nn.Linear):
            raise UserError(
                f"quantisation '4bit': {name} is of class {type(layer).__name__}; allowed: null, "
                "or a model of Linear layers"
            )
        with torch.device("meta"):
            small = layers.Linear4bit(
                layer.in_features,
                layer.out_features,
                bias=layer.bias is not None,
                compute_dtype=torch.bfloat16,
                quant_type="nf4",
            )
        small.weight = layers.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")
        small.bias = layer.bias
        model.set_submodule(name, small.to(device()))
    return model


def _has_gpu() -> bool:
    return device().type == "cuda"
