"""A loaded model together with what reads its inputs."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from layerscope.data.labels import TaskLabels
from layerscope.models.adapters import apply_adapter, is_adapter, require_base
from layerscope.models.inputs import SpecialTokens, read_special_tokens
from layerscope.models.load import (
    load_model,
    load_with_fresh_head,
    load_with_head,
    random_model,
)
from layerscope.models.parts import length_multiple, unshare_blocks
from layerscope.models.placement import placed
from layerscope.models.quantisation import quantise
from layerscope.models.tokenizers import load_tokenizer


@dataclass(frozen=True)
class LoadedModel:
    """A model, with or without a head, and what is needed to prepare its inputs."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    special_tokens: SpecialTokens
    architecture: str  # "encoder" or "decoder"
    #: Of a model with an adapter, the same without it, in the same memory.
    bare: PreTrainedModel | None = field(default=None, kw_only=True)

    @classmethod
    def of(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, architecture: str
    ) -> Self:
        """A model with its tokenizer, whose special tokens are read off.

        Raises:
            UserError: the tokenizer has no token that could separate the texts of a pair.
        """
        special_tokens = read_special_tokens(tokenizer, architecture)
        special_tokens = replace(special_tokens, multiple=length_multiple(model))
        return cls(model, tokenizer, special_tokens, architecture)

    def without_head(self) -> Self:
        """The same model below its head."""
        bare: Any = self.bare and self.bare.base_model
        return replace(self, model=self.model.base_model, bare=bare)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Weights:
    """How a model's weights are loaded; an adapter and its head are in float32 in any case."""

    dtype: torch.dtype = torch.float32
    quantised: bool = False  # to four bits

    @classmethod
    def named(cls, dtype: str, quantisation: str | None = None) -> Self:
        """By the names of the configuration: "float32" or "bfloat16", and "4bit" or None."""
        return cls(getattr(torch, dtype), quantisation == "4bit")

    def finished(self, model: PreTrainedModel) -> PreTrainedModel:
        """A model that was loaded in this type, quantised if that is wanted.

        Raises:
            UserError: it cannot be quantised here.
        """
        return quantise(model) if self.quantised else model


def load_base(
    folder: str | Path,
    architecture: str,
    random_seed: int | None = None,
    weights: Weights = Weights(),
) -> LoadedModel:
    """A model without a head, on the device; with a seed its architecture with random weights.

    Raises:
        UserError: the folder holds no such model.
    """
    tokenizer = load_tokenizer(folder)
    if random_seed is None:
        model = load_model(folder, tokenizer, weights.dtype)
    else:
        model = random_model(folder, tokenizer, random_seed, weights.dtype)
    return LoadedModel.of(placed(weights.finished(model)), tokenizer, architecture)


def load_fine_tuned(
    folder: str | Path,
    architecture: str,
    task: TaskLabels,
    base: str | Path | None = None,
    weights: Weights = Weights(),
) -> LoadedModel:
    """A fine-tuned model with its head, on the device.

    Args:
        folder: the model's, or that of an adapter.
        architecture: "encoder" or "decoder".
        task: that it was fine-tuned on.
        base: the model that an adapter belongs to.
        weights: how they are loaded.

    Raises:
        UserError: the folder holds no such model, or an adapter for another base.
    """
    bare = None
    if is_adapter(folder):
        base = require_base(folder, base)
        tokenizer = load_tokenizer(base)
        options = (tokenizer, task.kind, task.learned, weights.dtype)
        model = placed(weights.finished(load_with_fresh_head(base, *options)[0]))
        bare = in_same_memory(model)
        apply_adapter(model, folder)
    else:
        tokenizer = load_tokenizer(folder)
        model = load_with_head(folder, tokenizer, task.kind, task.learned, weights.dtype)
        model = placed(model)
    unshare_blocks(model)
    return replace(LoadedModel.of(model, tokenizer, architecture), bare=bare)


def load_body(
    folder: str | Path,
    beside: LoadedModel,
    base: str | Path | None = None,
    weights: Weights = Weights(),
) -> PreTrainedModel:
    """Another model of the same architecture, without a head, on the device.

    Of a base that `beside` has too, only what differs takes memory.

    Args:
        folder: the model's, or that of an adapter.
        beside: a model without its head.
        base: the model that an adapter belongs to, this one or that of `beside`.
        weights: how they are loaded.

    Raises:
        UserError: the folder holds no such model, or an adapter for another base.
    """
    adapted = is_adapter(folder)
    whole = require_base(folder, base) if adapted else Path(folder)
    if beside.bare is not None and base is not None and whole == Path(base):
        model = in_same_memory(beside.bare)
    else:
        model = load_model(whole, beside.tokenizer, weights.dtype)
        model = placed(weights.finished(model))
    return apply_adapter(model, folder) if adapted else model


def in_same_memory(model: PreTrainedModel) -> PreTrainedModel:
    """A second model with the parameters of a first one, but modules and hooks of its own."""
    shared: dict[int, Any] = {id(each): each for each in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)
