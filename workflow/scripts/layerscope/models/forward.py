"""Passes over many sequences, batched by length; without gradients, unless they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel

from layerscope.core.errors import UserError
from layerscope.models.batching import collate, length_batches
from layerscope.models.inputs import Encoded, SpecialTokens
from layerscope.models.load import uses_bfloat16
from layerscope.models.memory import halving

#: On a processor larger batches run slower than these: their tensors leave its caches.
PROCESSOR_TOKENS = 1024
#: What a pass costs besides its sub-words, in sub-words: starting its kernels. The processor's is
#: measured; the GPU's is assumed, where a small pass waits for its kernels to be started.
PROCESSOR_OVERHEAD, GPU_OVERHEAD = 48, 1024

Read = TypeVar("Read")


def batches(lengths: Sequence[int], batch_tokens: int, device_type: str) -> list[list[int]]:
    """The batches of `forward`, as indices."""
    if device_type == "cpu":
        return length_batches(lengths, min(batch_tokens, PROCESSOR_TOKENS), PROCESSOR_OVERHEAD)
    return length_batches(lengths, batch_tokens, GPU_OVERHEAD)


def forward(
    model: PreTrainedModel | nn.Module,
    sequences: Sequence[Encoded],
    special_tokens: SpecialTokens,
    batch_tokens: int,
    precision: str,
    read: Callable[[list[int], dict[str, torch.Tensor], Any], Read],
    gradients: bool = False,
    **options: Any,
) -> Iterator[tuple[list[int], Read]]:
    """Run a model over sequences in batches of similar length.

    With `output_hidden_states` a model of N layers gives N + 1 states: the embeddings (with
    positions, and scaled in BioGPT), then what each layer gives. The last of GPT-2 and BioGPT is
    after the model's final LayerNorm, those between are before any (transformers 5); all of BERT's
    are after the LayerNorm that ends a layer. So scales differ between layers.

    A batch that the device has no memory for is halved, whether the pass or `read` needs too much.

    Args:
        model: in evaluation mode, on its device.
        sequences: the inputs.
        special_tokens: of the tokenizer.
        batch_tokens: budget of a batch, padding included; at most `PROCESSOR_TOKENS` are used
            without a GPU.
        precision: "float32", "bfloat16" or "auto".
        read: takes from a pass what is wanted of it, given the indices of the batch, its tensors
            and the model's output. It may be called again with half of the same batch.
        gradients: whether `read` takes gradients, so that a pass must keep what these need.
        options: further arguments of the model's forward, such as `output_hidden_states`.

    Yields:
        The indices of a batch in `sequences`, and what `read` gave.

    Raises:
        UserError: the device has no memory for one sequence.
    """
    device = next(model.parameters()).device
    mixed = uses_bfloat16(precision)

    def run(indices: Sequence[int]) -> Read:
        batch = collate([sequences[index] for index in indices], special_tokens, device)
        with torch.inference_mode(not gradients):
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                output = model(**batch, **options)
            return read(list(indices), batch, output)

    def too_large(indices: Sequence[int]) -> UserError:
        return UserError(
            f"out of memory with one sequence of {len(sequences[indices[0]].ids)} sub-words; "
            "allowed: a smaller max_length, a smaller model, or a device with more memory"
        )

    lengths = [len(sequence.ids) for sequence in sequences]
    for indices, found in halving(batches(lengths, batch_tokens, device.type), run, too_large):
        yield list(indices), found
