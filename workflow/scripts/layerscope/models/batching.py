"""Batches of similar length within a budget of sub-words, and their tensors."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from layerscope.models.inputs import Encoded, SpecialTokens


def length_batches(lengths: Sequence[int], budget: int, overhead: int) -> list[list[int]]:
    """Group indices into batches of similar length that take the least time within a budget.

    Sequences are sorted by length and cut where the sum of all batches' padded sizes, and of
    `overhead` for each batch, is smallest.

    Args:
        lengths: sub-words of each sequence.
        budget: longest length times number of sequences in a batch; a longer one comes alone.
        overhead: what a batch costs besides its sub-words, in sub-words. More gives fewer batches.

    Returns:
        Batches of indices, longest sequences first; each index exactly once.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    cost = [0, *[sys.maxsize] * len(order)]  # of the best batches for so many of the first
    start_of = [0] * len(cost)  # where the last of those batches starts
    for start, index in enumerate(order):
        longest = lengths[index]
        most = max(budget // max(longest, 1), 1)
        total = cost[start] + overhead
        for end in range(start + 1, min(start + most, len(order)) + 1):
            total += longest
            if total < cost[end]:
                cost[end], start_of[end] = total, start
    batches: list[list[int]] = []
    end = len(order)
    while end:
        batches.append(order[start_of[end] : end])
        end = start_of[end]
    return batches[::-1]


def collate(
    sequences: Sequence[Encoded], special_tokens: SpecialTokens, device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """Pad sequences on the right.

    Returns:
        `input_ids`, `attention_mask` and, where the model tells segments apart, `token_type_ids`;
        each batch x longest, int64.
    """
    longest = max(len(sequence.ids) for sequence in sequences)
    longest += -longest % special_tokens.multiple
    ids = torch.full((len(sequences), longest), special_tokens.pad, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    types = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        length = len(sequence.ids)
        ids[row, :length] = torch.tensor(sequence.ids)
        mask[row, :length] = 1
        types[row, sequence.second : length] = 1
    batch = {"input_ids": ids, "attention_mask": mask}
    if special_tokens.segments:
        batch["token_type_ids"] = types
    return {name: tensor.to(device) for name, tensor in batch.items()}
