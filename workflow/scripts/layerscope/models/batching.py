"""Batches of similar length within a budget of sub-words, and their tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from layerscope.models.inputs import Encoded, Frame


def length_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group indices into batches of similar length whose padded size is within a budget.

    Args:
        lengths: sub-words of each sequence.
        budget: longest length times number of sequences in a batch; a longer one comes alone.

    Returns:
        Batches of indices, longest sequences first; each index exactly once.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def collate(
    sequences: Sequence[Encoded], frame: Frame, device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """Pad sequences on the right.

    Returns:
        `input_ids`, `attention_mask` and, where the model tells segments apart, `token_type_ids`;
        each batch x longest, int64.
    """
    longest = max(len(sequence.ids) for sequence in sequences)
    ids = torch.full((len(sequences), longest), frame.pad, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    types = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        length = len(sequence.ids)
        ids[row, :length] = torch.tensor(sequence.ids)
        mask[row, :length] = 1
        types[row, sequence.second : length] = 1
    batch = {"input_ids": ids, "attention_mask": mask}
    if frame.segments:
        batch["token_type_ids"] = types
    return {name: tensor.to(device) for name, tensor in batch.items()}
