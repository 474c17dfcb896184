"""Tensors that transformers leaves without values where a file of weights lacks them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel


@contextmanager
def unset_as_nan() -> Iterator[None]:
    """While it lasts, new tensors that nothing is written to hold NaN, and not what memory held."""
    strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    filling: Any = torch.utils.deterministic
    fills = filling.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    filling.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        filling.fill_uninitialized_memory = fills


def set_rest(model: PreTrainedModel, missing: Iterable[str]) -> list[str]:
    """Give tensors without values those that a new model of the class has.

    Longformer's bias over the vocabulary is such a tensor, and a buffer of Falcon-H1.

    Args:
        model: loaded while `unset_as_nan` lasted.
        missing: names of tensors that its file lacks.

    Returns:
        Names of the tensors that were set.
    """
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    doubtful = {*missing, *(tensors.keys() - model.state_dict().keys())}
    unset = [name for name in sorted(doubtful & tensors.keys()) if tensors[name].isnan().any()]
    if unset:
        with torch.random.fork_rng(), torch.no_grad():
            new = type(model)._from_config(model.config)  # type: ignore[no-untyped-call]
            values = {**dict(new.named_parameters()), **dict(new.named_buffers())}
            for name in unset:
                tensors[name].copy_(values[name])
    return unset
