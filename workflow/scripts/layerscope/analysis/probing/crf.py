"""A linear-chain conditional random field over padded batches (Lafferty et al. 2001).

Shapes: B sentences, T words in the longest, K tags. Padding stands at the end of a sentence, and
nothing here depends on what it holds. Every sentence has at least one word. Several fields can be
computed together: parameters and emissions then have the same further dimensions in front.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Crf(nn.Module):
    """Scores of tags at the start and end of a sentence and of one tag after another."""

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(tags))
        self.end = nn.Parameter(torch.zeros(tags))
        self.transitions = nn.Parameter(torch.zeros(tags, tags))  # from, to

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Log of the summed exponential scores of all paths.

        The forward recursion in float64, on probabilities that are rescaled at every word (Rabiner
        1989, section V-A): one small matrix product a word, where log-sum-exp over K x K scores
        takes several times longer.

        Args:
            emissions: B x T x K scores.
            lengths: B numbers of words.

        Returns:
            B, float64.
        """
        scores = emissions.double()
        # Largest scores are taken out of the exponents and added again: constants, no gradient.
        peaks = scores.detach().amax(dim=-1)
        words = (scores - peaks[..., None]).exp()
        highest = self.transitions.detach().amax(dim=(-2, -1)).double()
        steps = (self.transitions.double() - highest[..., None, None]).exp()
        first, *others = words.unbind(-2)  # whose gradient is put together once, not once a word
        forward = first * self.start.double().exp()[..., None, :]
        kept, norms = [], []
        for word in (None, *others):
            if word is not None:
                forward = (forward @ steps) * word
            norm = forward.sum(dim=-1, keepdim=True)
            forward = forward / norm
            kept.append(forward)
            norms.append(norm)
        ends = (lengths - 1)[:, None, None].expand(*forward.shape[:-1], 1, forward.shape[-1])
        last = torch.stack(kept, dim=-2).gather(-2, ends).squeeze(-2)
        logs = torch.where(_real(emissions, lengths), torch.cat(norms, dim=-1).log() + peaks, 0.0)
        rest = (last @ self.end.double().exp()[..., None]).squeeze(-1).log()
        return logs.sum(dim=-1) + (lengths - 1) * highest[..., None] + rest

    def path_score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Score of one path a sentence: emissions B x T x K, tags B x T, lengths B to B."""
        real = _real(emissions, lengths)
        each = tags.expand(*emissions.shape[:-1])[..., None]
        words = emissions.gather(-1, each).squeeze(-1)
        steps = self.transitions[..., tags[:, :-1], tags[:, 1:]]
        last = tags.gather(1, lengths[:, None] - 1).squeeze(1)
        return (
            torch.where(real, words, 0.0).sum(dim=-1)
            + torch.where(real[:, 1:], steps, 0.0).sum(dim=-1)
            + self.start[..., tags[:, 0]]
            + self.end[..., last]
        )

    def negative_log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Of each sentence's tags: emissions B x T x K, tags B x T, lengths B to B, float64."""
        return self.log_partition(emissions, lengths) - self.path_score(emissions, tags, lengths)

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """The best path of each sentence (Viterbi): B x T; what stands in padding means nothing."""
        score = self.start[..., None, :] + emissions[..., 0, :]
        pointers = []
        stay = torch.arange(emissions.shape[-1], device=emissions.device).expand(score.shape)
        for word in range(1, emissions.shape[-2]):
            best, pointer = (score[..., None] + self.transitions[..., None, :, :]).max(dim=-2)
            real = (word < lengths)[:, None]
            score = torch.where(real, best + emissions[..., word, :], score)
            pointers.append(torch.where(real, pointer, stay))
        path = [(score + self.end[..., None, :]).argmax(dim=-1)]
        for pointer in reversed(pointers):
            path.append(pointer.gather(-1, path[-1][..., None]).squeeze(-1))
        return torch.stack(path[::-1], dim=-1)


def _real(emissions: Tensor, lengths: Tensor) -> Tensor:
    """Which words are no padding, B x T."""
    return torch.arange(emissions.shape[-2], device=emissions.device) < lengths[:, None]
