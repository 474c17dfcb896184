"""Heads masked, states captured and replaced, in any model whose parts are found by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from layerscope.core.errors import UserError

#: Where a block projects what its heads give, side by side, back to the width of the model: as BERT
#: and its kin, GPT-2, BioGPT, Llama, DistilBERT, ModernBERT and GPT-NeoX name it.
PROJECTIONS = (
    "attention.output.dense", "attn.c_proj", "self_attn.out_proj", "self_attn.o_proj",
    "attention.out_lin", "attn.Wo", "attention.dense",
)  # fmt: skip

#: A head: its layer, counted from 1, and its place in the layer, counted from 0.
Head = tuple[int, int]


def blocks(model: PreTrainedModel) -> list[nn.Module]:
    """The blocks of a model, from the first to the last.

    Raises:
        UserError: none are found.
    """
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == model.config.num_hidden_layers:
            return list(module)
    raise _unknown(model, "blocks")


def head_projections(model: PreTrainedModel) -> list[nn.Module]:
    """Of each block what projects the outputs of its heads, which come in side by side.

    Raises:
        UserError: a block's is not found.
    """
    return [_projection(model, block) for block in blocks(model)]


def _projection(model: PreTrainedModel, block: nn.Module) -> nn.Module:
    for name in PROJECTIONS:
        try:
            return block.get_submodule(name)
        except AttributeError:
            continue
    raise _unknown(model, "attention heads")


def _unknown(model: PreTrainedModel, what: str) -> UserError:
    return UserError(
        f"{type(model).__name__}: its {what} were not found, so they cannot be changed; "
        "allowed: `interventions: null` in the configuration, or models such as BERT and GPT-2"
    )


def all_heads(model: PreTrainedModel) -> list[Head]:
    """Every head of a model, from the first layer to the last."""
    heads, layers = model.config.num_attention_heads, model.config.num_hidden_layers
    return [(layer, head) for layer in range(1, layers + 1) for head in range(heads)]


@contextmanager
def heads_masked(
    model: PreTrainedModel,
    heads: Collection[Head],
    values: Sequence[torch.Tensor] | None = None,
) -> Iterator[None]:
    """While it lasts, what these heads feed to the projection is 0, or a value of each.

    The bias of the projection stays. Zeros are the mask of Michel et al. (2019), without gradients.

    Args:
        model: the model.
        heads: which are masked.
        values: of each layer what stands in for its heads, side by side: width.

    Raises:
        UserError: the heads of this model are not found.
        ValueError: a head that the model does not have.
    """
    count = model.config.num_attention_heads
    unknown = set(heads) - set(all_heads(model))
    if unknown:
        raise ValueError(f"no such heads: {sorted(unknown)}")
    with ExitStack() as stack:
        for layer, projection in enumerate(head_projections(model), start=1):
            masked = [head for at, head in heads if at == layer]
            if not masked:
                continue
            own = None if values is None else values[layer - 1].reshape(count, -1)[masked]

            def mask(
                module: nn.Module,
                inputs: Any,
                masked: list[int] = masked,
                own: torch.Tensor | None = own,
            ) -> Any:
                kept = inputs[0].unflatten(-1, (count, -1)).clone()
                kept[..., masked, :] = 0 if own is None else own.to(kept)
                return (kept.flatten(-2), *inputs[1:])

            stack.callback(projection.register_forward_pre_hook(mask).remove)
        yield


@contextmanager
def head_outputs_captured(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """While it lasts, a list holds what the heads of each layer gave in the last pass.

    They stand side by side, as the projection reads them: batch x tokens x width.

    Raises:
        UserError: the heads of this model are not found.
    """
    projections = head_projections(model)
    outputs = [torch.empty(0)] * len(projections)
    with ExitStack() as stack:
        for place, projection in enumerate(projections):

            def keep(module: nn.Module, inputs: Any, place: int = place) -> None:
                outputs[place] = inputs[0]

            stack.callback(projection.register_forward_pre_hook(keep).remove)
        yield outputs


@contextmanager
def states_captured(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """While it lasts, a list holds what each block gave in the last pass, batch x tokens x width.

    The last of a decoder is before its final LayerNorm.

    Raises:
        UserError: the blocks of this model are not found.
    """
    found = blocks(model)
    states = [torch.empty(0)] * len(found)
    with ExitStack() as stack:
        for place, block in enumerate(found):

            def keep(module: nn.Module, inputs: Any, output: Any, place: int = place) -> None:
                if not isinstance(output, torch.Tensor):
                    raise _unknown(model, "states")
                states[place] = output

            stack.callback(block.register_forward_hook(keep).remove)
        yield states


@contextmanager
def resumed(model: PreTrainedModel, layer: int, state: torch.Tensor) -> Iterator[None]:
    """While it lasts, blocks up to a layer compute nothing: they give this state to the next one.

    So a pass costs only what comes after the layer.

    Args:
        model: the model.
        layer: the block whose output `state` stands for, counted from 1.
        state: batch x tokens x width, of the batch of the pass.

    Raises:
        UserError: the blocks of this model are not found.
    """
    skipped = blocks(model)[:layer]
    for block in skipped:
        block.forward = lambda *inputs, **options: state
    try:
        yield
    finally:
        for block in skipped:
            del block.forward
