"""A loaded model together with what reads its inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from layerscope.data.labels import TaskLabels
from layerscope.models.adapters import apply_adapter, is_adapter, require_base
from layerscope.models.inputs import SpecialTokens, read_special_tokens
from layerscope.models.load import (
    device,
    load_model,
    load_with_fresh_head,
    load_with_head,
    random_model,
)
from layerscope.models.parts import length_multiple, unshare_blocks
from layerscope.models.tokenizers import load_tokenizer


@dataclass(frozen=True)
class LoadedModel:
    """A model, with or without a head, and what is needed to prepare its inputs."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    special_tokens: SpecialTokens
    architecture: str  # "encoder" or "decoder"

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
        return replace(self, model=self.model.base_model)  # type: ignore[arg-type]


def load_base(
    folder: str | Path,
    architecture: str,
    random_seed: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> LoadedModel:
    """A model without a head, on the device; with a seed its architecture with random weights.

    Raises:
        UserError: the folder holds no such model.
    """
    tokenizer = load_tokenizer(folder)
    if random_seed is None:
        model = load_model(folder, tokenizer, dtype)
    else:
        model = random_model(folder, tokenizer, random_seed, dtype)
    return LoadedModel.of(model.to(device()), tokenizer, architecture)  # type: ignore[arg-type]


def load_fine_tuned(
    folder: str | Path,
    architecture: str,
    task: TaskLabels,
    base: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
) -> LoadedModel:
    """A fine-tuned model with its head, on the device.

    Args:
        folder: the model's, or that of an adapter.
        architecture: "encoder" or "decoder".
        task: that it was fine-tuned on.
        base: the model that an adapter belongs to.
        dtype: of the weights; an adapter and its head stay in float32.

    Raises:
        UserError: the folder holds no such model, or an adapter for another base.
    """
    if is_adapter(folder):
        base = require_base(folder, base)
        tokenizer = load_tokenizer(base)
        options = (tokenizer, task.kind, task.learned, dtype)
        model = apply_adapter(load_with_fresh_head(base, *options)[0], folder)
    else:
        tokenizer = load_tokenizer(folder)
        model = load_with_head(folder, tokenizer, task.kind, task.learned, dtype)
    unshare_blocks(model)
    return LoadedModel.of(model.to(device()), tokenizer, architecture)  # type: ignore[arg-type]


def load_body(
    folder: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    base: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """A model or an adapter's base with the adapter, without a head, on the device.

    Arguments as for `load_fine_tuned`.

    Raises:
        UserError: the folder holds no such model, or an adapter for another base.
    """
    if is_adapter(folder):
        base = require_base(folder, base)
        model = apply_adapter(load_model(base, tokenizer, dtype), folder)
    else:
        model = load_model(folder, tokenizer, dtype)
    return model.to(device())  # type: ignore[arg-type]
