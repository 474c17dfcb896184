"""Attention maps of a model, a layer at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import torch
from transformers import PreTrainedModel

from layerscope.core.errors import NotApplicableError
from layerscope.models.parts import require_attention

#: How far a sum of a row may be from 1.
_OF_ONE = 1e-3
#: How far states may be from others, of their norm; bfloat16 rounds to three digits.
_SAME_STATES = 0.02

log = logging.getLogger(__name__)


class _StopError(Exception):
    """Nobody asks for further layers."""


class _UnaskedError(Exception):
    """A layer gives no maps by itself."""


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
        batch x heads x queries x keys, from the first layer to the last; rows sum to 1. Those of a
        model whose rows do not, since some attention goes to no token, are divided by their sum.

    Raises:
        NotApplicableError: the model gives no maps.
        Exception: whatever the forward pass raises.
    """
    modules = attention_modules(model)
    if not modules:
        yield from _maps_at_once(model, batch)
        return
    layers, tokens = _PausedPass(model, batch, modules), batch["attention_mask"].shape[1]
    try:
        while (maps := layers.next()) is not None:
            if maps.shape[-2:] != (tokens, tokens):
                raise _no_maps(model)
            yield _rows_of_one(maps, batch["attention_mask"])
            del maps  # before the next layer is computed
        return
    except _UnaskedError:  # of the first layer: maps have to be asked for (Falcon)
        pass
    finally:
        layers.stop()
    yield from _maps_at_once(model, batch)


def switch_to_maps(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> None:
    """Let a model compute its attention so that it gives maps, for good.

    Args:
        model: without a head.
        batch: some input, for which states have to be the same before and after.

    Raises:
        NotApplicableError: they are not, so that the maps would be those of another model, or not
            every layer has attention.
    """
    require_attention(model)
    with torch.inference_mode():
        plain = model(**batch).last_hidden_state.float()
        model.set_attn_implementation("eager")
        model.config._attn_implementation = "eager"  # Falcon's stays what it was
        output = model(**batch, output_attentions=True)
    if any((maps < 0).any() for maps in output.get("attentions") or ()):  # scores (SqueezeBERT)
        raise _no_maps(model)
    asked = output.last_hidden_state.float()
    if (asked - plain).norm() > _SAME_STATES * plain.norm():
        raise NotApplicableError(
            f"{type(model).__name__} gives other states when it is asked for attention maps"
        )


def _no_maps(model: PreTrainedModel) -> NotApplicableError:
    return NotApplicableError(f"{type(model).__name__} gives no attention maps")


def _maps_at_once(
    model: PreTrainedModel, batch: Mapping[str, torch.Tensor]
) -> Iterator[torch.Tensor]:
    """Maps of all layers, from one pass that keeps them."""
    if not hasattr(model.config, "num_attention_heads"):
        raise _no_maps(model)
    with torch.inference_mode():
        found = model(**batch, output_attentions=True).get("attentions")
    if not found or len(found) != model.config.num_hidden_layers:
        raise _no_maps(model)
    for maps in found:
        square = maps.shape[-1] == maps.shape[-2]
        if not square and not hasattr(model.config, "attention_window"):
            raise _no_maps(model)
        full = maps if square else _from_windows(maps)
        yield _rows_of_one(full, batch["attention_mask"])


def _from_windows(maps: torch.Tensor) -> torch.Tensor:
    """Square maps from those of a sliding window (Longformer), of which each row is one window.

    Args:
        maps: batch x heads x tokens x (window + 1); the middle column is the token itself.
    """
    tokens, window = maps.shape[-2:]
    at = torch.arange(tokens, device=maps.device)
    keys = at[:, None] + torch.arange(window, device=maps.device) - window // 2
    inside = (keys >= 0) & (keys < tokens)
    full = maps.new_zeros((*maps.shape[:-1], tokens))
    full.scatter_add_(-1, keys.clamp(0, tokens - 1).expand_as(maps), maps * inside)
    return full


def _rows_of_one(maps: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Maps in float32 whose rows of real tokens sum to 1; those in bfloat16 are rounded.

    They are on the device of the inputs, whichever the layer is on.
    """
    rounded = maps.dtype != torch.float32
    maps = maps.to(real.device).float()
    sums = maps.sum(dim=-1, keepdim=True)
    if not rounded and ((sums - 1).abs() * real[:, None, :, None] < _OF_ONE).all():
        return maps
    if not rounded:
        log.info("rows of attention that do not sum to 1 are divided by their sum")
    return maps / sums.clamp(min=1e-12)


class _PausedPass:
    """A forward pass in a thread that waits after each layer until the next is asked for."""

    def __init__(
        self,
        model: PreTrainedModel,
        batch: Mapping[str, torch.Tensor],
        modules: Sequence[torch.nn.Module],
    ) -> None:
        self._asked, self._answered = threading.Semaphore(0), threading.Semaphore(0)
        self._maps: list[torch.Tensor] = []
        self._failed: list[BaseException] = []
        self._stopping = threading.Event()
        self._hooks = [module.register_forward_hook(self._hand_over) for module in modules]
        self._thread = threading.Thread(target=self._run_forward, args=(model, batch), daemon=True)
        self._thread.start()

    def _hand_over(self, module: Any, inputs: Any, output: Any) -> None:
        maps = output[1] if isinstance(output, tuple) else None
        if maps is None:
            raise _UnaskedError
        self._maps.append(maps)
        self._answered.release()
        self._asked.acquire()
        if self._stopping.is_set():
            raise _StopError

    def _run_forward(self, model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> None:
        self._asked.acquire()
        try:
            if not self._stopping.is_set():
                with torch.inference_mode():
                    model(**batch)
        except _StopError:
            pass
        except BaseException as error:  # raised again by `next`, in the caller's thread
            self._failed.append(error)
        self._answered.release()

    def next(self) -> torch.Tensor | None:
        """The maps of the next layer; None after the last."""
        self._asked.release()
        self._answered.acquire()
        if self._failed:
            raise self._failed[0]
        return self._maps.pop() if self._maps else None

    def stop(self) -> None:
        """End the pass, wherever it is."""
        self._stopping.set()
        self._asked.release()
        self._thread.join()
        for hook in self._hooks:
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
        and not hasattr(module, "has_relative_attention_bias")  # T5's biases stand second
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
