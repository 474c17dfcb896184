"""From the states of tokens to vectors, on the device and in float32; padding never enters."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def sequence_means(hidden: Sequence[torch.Tensor], attention_mask: torch.Tensor) -> torch.Tensor:
    """Mean over the real tokens of each sequence, special tokens included, for every layer.

    Args:
        hidden: a tensor a layer, batch x tokens x width.
        attention_mask: batch x tokens; 1 for a real token.

    Returns:
        batch x layers x width, float32.
    """
    weights = attention_mask.to(torch.float32)
    weights = (weights / weights.sum(dim=1, keepdim=True)).unsqueeze(1)
    return torch.cat([torch.bmm(weights, states.float()) for states in hidden], dim=1)


def last_tokens(hidden: Sequence[torch.Tensor], attention_mask: torch.Tensor) -> torch.Tensor:
    """State of the last real token of each sequence, for every layer.

    In a causal model it is the one that has read all of the input; heads for classification read it
    too (Radford et al. 2018).

    Args:
        hidden: a tensor a layer, batch x tokens x width.
        attention_mask: batch x tokens; 1 for a real token, on whichever side the padding stands.

    Returns:
        batch x layers x width, float32.
    """
    # Counted from 1, so that a real first token stands above padding.
    places = torch.arange(1, attention_mask.shape[1] + 1, device=attention_mask.device)
    last = (attention_mask * places).argmax(dim=1)
    rows = torch.arange(len(last), device=last.device)
    return torch.stack([states[rows, last].float() for states in hidden], dim=1)


def word_lasts(
    hidden: Sequence[torch.Tensor], words: Sequence[Sequence[tuple[int, int]]]
) -> torch.Tensor:
    """State of the last sub-word of each word, for every layer; arguments as of `word_means`."""
    return word_means(hidden, [[(end - 1, end) for _, end in spans] for spans in words])


def word_means(
    hidden: Sequence[torch.Tensor], words: Sequence[Sequence[tuple[int, int]]]
) -> torch.Tensor:
    """Mean over the sub-words of each word, for every layer.

    Args:
        hidden: a tensor a layer, batch x tokens x width.
        words: for each sequence of the batch the sub-word span (start, end) of each word.

    Returns:
        all words of the batch in order x layers x width, float32.
    """
    batch, tokens, _ = hidden[0].shape
    longest = max(len(spans) for spans in words)
    weights = torch.zeros(batch, longest, tokens)
    real = torch.zeros(batch, longest, dtype=torch.bool)
    for row, spans in enumerate(words):
        real[row, : len(spans)] = True
        for index, (start, end) in enumerate(spans):
            weights[row, index, start:end] = 1 / (end - start)
    weights, real = weights.to(hidden[0].device), real.to(hidden[0].device)
    return torch.stack([torch.bmm(weights, states.float())[real] for states in hidden], dim=1)
