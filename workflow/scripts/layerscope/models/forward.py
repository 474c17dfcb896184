"""Forward passes without gradients over many sequences, batched by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from layerscope.models.batching import collate, length_batches
from layerscope.models.inputs import Encoded, Frame
from layerscope.models.load import uses_bfloat16


def forward(
    model: PreTrainedModel,
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

    Args:
        model: in evaluation mode, on its device.
        sequences: the inputs.
        frame: of the tokenizer.
        batch_tokens: budget of a batch, padding included.
        precision: "float32", "bfloat16" or "auto".
        options: further arguments of the model's forward, such as `output_hidden_states`.

    Yields:
        The indices of a batch in `sequences`, its tensors, and the model's output.
    """
    device = next(model.parameters()).device
    mixed = uses_bfloat16(precision)
    for indices in length_batches([len(sequence.ids) for sequence in sequences], batch_tokens):
        batch = collate([sequences[index] for index in indices], frame, device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            output = model(**batch, **options)
        yield indices, batch, output
