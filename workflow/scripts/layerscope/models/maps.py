"""Attention maps of a model, a layer at a time."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import torch
from transformers import PreTrainedModel


class _StopError(Exception):
    """Nobody asks for further layers."""


def layer_maps(
    model: PreTrainedModel, batch: Mapping[str, torch.Tensor]
) -> Generator[torch.Tensor]:
    """Run a model on a batch and give the maps of each layer as soon as they are there.

    The forward pass waits until the next layer is asked for and keeps nothing of the last one, so
    that maps of several models can be compared layer by layer with one layer of each in memory. It
    runs in a thread of its own, which computes only while the caller waits for it. Of architectures
    whose layers are not found by `attention_modules` the maps of all layers are kept.

    Args:
        model: with eager attention, the only one that gives maps.
        batch: its inputs.

    Yields:
        batch x heads x queries x keys, from the first layer to the last; rows sum to 1.

    Raises:
        Exception: whatever the forward pass raises.
    """
    modules = attention_modules(model)
    if not modules:
        with torch.inference_mode():
            yield from model(**batch, output_attentions=True).attentions
        return
    asked, answered = threading.Semaphore(0), threading.Semaphore(0)
    box: list[torch.Tensor] = []
    failed: list[BaseException] = []
    stopping = threading.Event()

    def hand_over(module: Any, inputs: Any, output: Any) -> None:
        box.append(output[1])
        answered.release()
        asked.acquire()
        if stopping.is_set():
            raise _StopError

    def passing() -> None:
        asked.acquire()
        try:
            if not stopping.is_set():
                with torch.inference_mode():
                    model(**batch)
        except _StopError:
            pass
        except BaseException as error:  # raised again below, in the caller's thread
            failed.append(error)
        answered.release()

    hooks = [module.register_forward_hook(hand_over) for module in modules]
    thread = threading.Thread(target=passing, daemon=True)
    thread.start()
    try:
        while True:
            asked.release()
            answered.acquire()
            if failed:
                raise failed[0]
            if not box:
                return
            yield box.pop()
    finally:
        stopping.set()
        asked.release()
        thread.join()
        for hook in hooks:
            hook.remove()


def attention_modules(model: PreTrainedModel) -> list[torch.nn.Module]:
    """What computes the maps, a module a layer, which returns them second.

    They are found by the number of their layer, which most architectures of transformers 5 give
    them; of others none is found.
    """
    found = {
        getattr(module, "layer_idx", None): module
        for module in model.modules()
        if type(module).__name__.endswith("Attention")
    }
    layers = range(model.config.num_hidden_layers)
    return [found[layer] for layer in layers] if set(layers) <= set(found) else []


def maps_side_by_side(
    model: PreTrainedModel,
    others: Sequence[PreTrainedModel | None],
    batch: Mapping[str, torch.Tensor],
) -> Iterator[tuple[torch.Tensor, list[torch.Tensor | None]]]:
    """The maps of a model and of others with as many layers, a layer of all at a time.

    Yields:
        The model's, and the others' in their order; None for another that is None.
    """
    with ExitStack() as stack:
        rest = [
            None if each is None else stack.enter_context(closing(layer_maps(each, batch)))
            for each in others
        ]
        for maps in stack.enter_context(closing(layer_maps(model, batch))):
            yield maps, [None if each is None else next(each) for each in rest]
            del maps  # before the next layer is computed
