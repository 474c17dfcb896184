"""Forward passes without gradients over many sequences, batched by length."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from layerscope.errors import UserError
from layerscope.models.batching import collate, length_batches
from layerscope.models.inputs import Encoded, Frame
from layerscope.models.load import uses_bfloat16

#: On a processor larger batches run slower than these: their tensors leave its caches.
PROCESSOR_TOKENS = 1024
#: What a pass costs besides its sub-words, in sub-words: starting its kernels. The processor's is
#: measured; the GPU's is assumed, where a small pass waits for its kernels to be started.
PROCESSOR_OVERHEAD, GPU_OVERHEAD = 48, 1024

log = logging.getLogger(__name__)


def batches(lengths: Sequence[int], batch_tokens: int, device_type: str) -> list[list[int]]:
    """The batches of `forward`, as indices."""
    if device_type == "cpu":
        return length_batches(lengths, min(batch_tokens, PROCESSOR_TOKENS), PROCESSOR_OVERHEAD)
    return length_batches(lengths, batch_tokens, GPU_OVERHEAD)


def forward(
    model: PreTrainedModel | nn.Module,
    sequences: Sequence[Encoded],
    frame: Frame,
    batch_tokens: int,
    precision: str,
    **options: Any,
) -> Iterator[tuple[list[int], dict[str, torch.Tensor], Any]]:
    """Run a model over sequences in batches of similar length.

    With `output_hidden_states` a model of N layers gives N + 1 states: the embeddings (with
    positions, and scaled in BioGPT), then what each layer gives. The last of GPT-2 and BioGPT is
    after the model's final LayerNorm, those between are before any (transformers 5); all of BERT's
    are after the LayerNorm that ends a layer. So scales differ between layers.

    A batch that the device has no memory for is halved.

    Args:
        model: in evaluation mode, on its device.
        sequences: the inputs.
        frame: of the tokenizer.
        batch_tokens: budget of a batch, padding included; at most `PROCESSOR_TOKENS` are used
            without a GPU.
        precision: "float32", "bfloat16" or "auto".
        options: further arguments of the model's forward, such as `output_hidden_states`.

    Yields:
        The indices of a batch in `sequences`, its tensors, and the model's output.

    Raises:
        UserError: the device has no memory for one sequence.
    """
    device = next(model.parameters()).device
    mixed = uses_bfloat16(precision)
    waiting = deque(
        batches([len(sequence.ids) for sequence in sequences], batch_tokens, device.type)
    )
    halved = False
    while waiting:
        indices = waiting.popleft()
        batch = collate([sequences[index] for index in indices], frame, device)
        try:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                output = model(**batch, **options)
        except torch.OutOfMemoryError:
            output = None  # after this clause nothing holds the tensors of the pass
        if output is not None:
            yield indices, batch, output
            continue
        if len(indices) == 1:
            raise UserError(
                f"out of memory with one sequence of {len(sequences[indices[0]].ids)} sub-words; "
                "allowed: a smaller max_length, a smaller model, or a device with more memory"
            )
        if not halved:
            log.warning(
                "out of memory with %d sequences of up to %d sub-words in a pass; such batches are "
                "halved; a batch_tokens below %d avoids it",
                *(len(indices), batch["input_ids"].shape[1], batch["input_ids"].numel()),
            )
        halved = True
        del batch
        if device.type == "cuda":
            torch.cuda.empty_cache()
        middle = len(indices) // 2
        waiting.extendleft([indices[middle:], indices[:middle]])
