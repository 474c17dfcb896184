"""Heads masked or gated, states captured or replaced, in models whose parts are found by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from layerscope.models.parts import (
    blocks,
    head_count,
    head_projections,
    is_half_convolution,
    tokens_first,
    unknown,
)

#: Model types whose `hidden_states` begin with what the first block gives, and end with what the
#: last one gives before and after the final norm.
_WITHOUT_EMBEDDINGS = frozenset({"falcon_mamba", "mamba", "mamba2", "rwkv"})

#: A head: its layer, counted from 1, and its place in the layer, counted from 0.
Head = tuple[int, int]


class States(list[torch.Tensor]):
    """What each block gave in a pass, batch x tokens x width."""

    def __init__(self, count: int) -> None:
        super().__init__([torch.empty(0)] * count)
        #: What each gave besides, such as T5's biases of positions; None where it gives a state
        #: alone, and not a tuple.
        self.beside: list[tuple[Any, ...] | None] = [None] * count


@contextmanager
def embeddings_first(
    model: PreTrainedModel,
) -> Iterator[Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]]:
    """While it lasts, a function makes `hidden_states` of a pass those of N + 1 layers.

    These are the embeddings, and what each block gives; of the last one after the final norm, if
    the model has one. Most families have them so.
    """
    if model.config.model_type not in _WITHOUT_EMBEDDINGS:
        yield lambda states: states
        return
    embedded = torch.empty(0)

    def keep(_: nn.Module, inputs: Any) -> None:
        nonlocal embedded
        embedded = inputs[0]

    handle = blocks(model)[0].register_forward_pre_hook(keep)
    try:
        yield lambda states: (embedded, *states[:-2], states[-1])
    finally:
        handle.remove()


def all_heads(model: PreTrainedModel) -> list[Head]:
    """Every head of a model, from the first layer to the last.

    Raises:
        NotApplicableError: the model has none, or they are not found.
    """
    heads, layers = head_count(model), len(head_projections(model))
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
        NotApplicableError: the heads of this model are not found.
        ValueError: a head that the model does not have.
    """
    unknown_heads = set(heads) - set(all_heads(model))
    if unknown_heads:
        raise ValueError(f"no such heads: {sorted(unknown_heads)}")
    count = head_count(model) * (2 if is_half_convolution(model) else 1)
    with ExitStack() as stack:
        for layer, projection in enumerate(head_projections(model), start=1):
            masked = [head for at, head in heads if at == layer]
            if not masked:
                continue
            own = None if values is None else values[layer - 1].reshape(count, -1)[masked]

            def mask(
                outputs: torch.Tensor,
                masked: list[int] = masked,
                own: torch.Tensor | None = own,
            ) -> torch.Tensor:
                kept = outputs.reshape(*outputs.shape[:-1], count, -1).clone()
                kept[..., masked, :] = 0 if own is None else own.to(kept)
                return kept.flatten(-2)

            stack.enter_context(_before(projection, mask))
        yield


@contextmanager
def heads_gated(model: PreTrainedModel, gates: Sequence[torch.Tensor]) -> Iterator[None]:
    """While it lasts, what each head feeds to the projection is multiplied by a gate of its own.

    A gate of 1 leaves a head as it is, and 0 masks it, as `heads_masked` does.

    Args:
        model: the model.
        gates: of each layer, batch x heads, of the batch of the pass.

    Raises:
        NotApplicableError: the heads of this model are not found.
    """
    with ExitStack() as stack:
        for projection, gate in zip(head_projections(model), gates, strict=True):

            def weigh(outputs: torch.Tensor, gate: torch.Tensor = gate) -> torch.Tensor:
                factors = gate.to(outputs.device)
                if is_half_convolution(model):  # outputs of the convolution follow the heads'
                    factors = torch.cat([factors, torch.ones_like(factors)], dim=1)
                heads = outputs.reshape(*outputs.shape[:-1], factors.shape[1], -1)
                # In the gate's type where it is the wider one, so that gradients are.
                return (heads * factors[:, None, :, None]).flatten(-2).to(outputs.dtype)

            stack.enter_context(_before(projection, weigh))
        yield


@contextmanager
def _before(
    projection: Any, change: Callable[[torch.Tensor], torch.Tensor | None]
) -> Iterator[None]:
    """While it lasts, what heads feed to a projection goes through a function.

    Args:
        projection: as from `head_projections`.
        change: of the outputs of all heads of the layer, batch x tokens x width; None if they stay.
    """
    if not hasattr(projection, "post_attention"):

        def hook(module: nn.Module, inputs: Any) -> Any:
            changed = change(inputs[0])
            return None if changed is None else (changed, *inputs[1:])

        handle = projection.register_forward_pre_hook(hook)
        try:
            yield
        finally:
            handle.remove()
        return

    project: Any = projection.post_attention

    def post_attention(h: torch.Tensor, outputs: torch.Tensor, **options: Any) -> torch.Tensor:
        changed = change(outputs.flatten(-2).transpose(0, 1))
        if changed is not None:
            outputs = changed.transpose(0, 1).reshape(outputs.shape)
        found: torch.Tensor = project(h, outputs, **options)
        return found

    projection.post_attention = post_attention
    try:
        yield
    finally:
        del projection.post_attention


@contextmanager
def head_outputs_captured(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """While it lasts, a list holds what the heads of each layer gave in the last pass.

    They stand side by side, as the projection reads them: batch x tokens x width.

    Raises:
        NotApplicableError: the heads of this model are not found.
    """
    projections, first = head_projections(model), next(model.parameters()).device
    outputs = [torch.empty(0)] * len(projections)
    with ExitStack() as stack:
        for place, projection in enumerate(projections):

            def keep(given: torch.Tensor, place: int = place) -> None:
                outputs[place] = given.to(first)

            stack.enter_context(_before(projection, keep))
        yield outputs


@contextmanager
def states_captured(model: PreTrainedModel) -> Iterator[States]:
    """While it lasts, a list holds what each block gave in the last pass, on the inputs' device.

    The last of a decoder is before its final LayerNorm.

    Raises:
        NotApplicableError: the blocks of this model are not found.
    """
    found, first = blocks(model), next(model.parameters()).device
    states = States(len(found))
    turned = tokens_first(model)
    with ExitStack() as stack:
        for place, block in enumerate(found):

            def keep(module: nn.Module, inputs: Any, output: Any, place: int = place) -> None:
                state, beside = output, None
                if isinstance(output, tuple | list):  # a list from the first GPT
                    state, *rest = output
                    beside = tuple(rest)
                if not isinstance(state, torch.Tensor) or state.dim() != 3:
                    raise unknown(model, "states of batch x tokens x width")
                states[place] = (state.transpose(0, 1) if turned else state).to(first)
                states.beside[place] = beside

            stack.callback(block.register_forward_hook(keep).remove)
        yield states


@contextmanager
def resumed(
    model: PreTrainedModel,
    layer: int,
    state: torch.Tensor,
    beside: tuple[Any, ...] | None = None,
) -> Iterator[None]:
    """While it lasts, blocks up to a layer compute nothing: they give this state to the next one.

    So a pass costs only what comes after the layer.

    Args:
        model: the model.
        layer: the block whose output `state` stands for, counted from 1.
        state: batch x tokens x width, of the batch of the pass.
        beside: what the block gave besides (`States.beside`).

    Raises:
        NotApplicableError: the blocks of this model are not found.
    """
    skipped = blocks(model)[:layer]
    state = state.transpose(0, 1) if tokens_first(model) else state
    given = state if beside is None else (state, *beside)
    own = [vars(block).get("forward") for block in skipped]  # of a model on several devices
    for block in skipped:
        block.forward = lambda *inputs, **options: given
    try:
        yield
    finally:
        for block, forward in zip(skipped, own, strict=True):
            del block.forward
            if forward is not None:
                block.forward = forward
