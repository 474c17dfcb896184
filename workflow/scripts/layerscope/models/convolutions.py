"""Convolutions of ConvBERT kept from reading padding, which transformers gives them as text."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


def mask_convolutions(model: PreTrainedModel) -> None:
    """Let convolutions see 0 in place of padding, as beyond the ends of a sequence on its own.

    Without it a state depends on what else is in its batch. Models without such layers stay.
    """
    layers = [m for m in model.modules() if type(m).__name__ == "ConvBertSelfAttention"]
    if not layers:
        return
    masks: list[torch.Tensor | None] = [None]

    def remember(module: nn.Module, inputs: Any, options: dict[str, Any]) -> None:
        masks[0] = options.get("attention_mask")

    def without_padding(states: torch.Tensor) -> torch.Tensor:
        return states if masks[0] is None else states * masks[0][..., None].to(states)

    def before(module: nn.Module, inputs: Any) -> Any:
        return without_padding(inputs[0]), *inputs[1:]

    def after(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return without_padding(output)

    model.base_model.register_forward_pre_hook(remember, with_kwargs=True)
    for layer in layers:
        layer.register_forward_pre_hook(before)
        layer.conv_out_layer.register_forward_hook(after)  # type: ignore[union-attr]
