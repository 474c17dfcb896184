"""A linear-chain conditional random field over padded batches (Lafferty et al. 2001).

Shapes: B sentences, T words in the longest, K tags. Padding stands at the end of a sentence, and
nothing here depends on what it holds. Every sentence has at least one word.
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
        peaks = scores.detach().amax(dim=2)
        words = (scores - peaks[:, :, None]).exp()
        highest = self.transitions.detach().max().double()
        steps = (self.transitions.double() - highest).exp()
        forward = words[:, 0] * self.start.double().exp()
        kept, norms = [], []
        for word in range(emissions.shape[1]):
            if word:
                forward = (forward @ steps) * words[:, word]
            norm = forward.sum(dim=1, keepdim=True)
            forward = forward / norm
            kept.append(forward)
            norms.append(norm)
        last = torch.stack(kept, dim=1)[torch.arange(len(lengths)), lengths - 1]
        real = torch.arange(emissions.shape[1]) < lengths[:, None]
        logs = torch.where(real, torch.cat(norms, dim=1).log() + peaks, 0.0).sum(dim=1)
        return logs + (lengths - 1) * highest + (last @ self.end.double().exp()).log()

    def path_score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Score of one path a sentence: emissions B x T x K, tags B x T, lengths B to B."""
        real = torch.arange(emissions.shape[1]) < lengths[:, None]
        words = emissions.gather(2, tags[:, :, None]).squeeze(2)
        steps = self.transitions[tags[:, :-1], tags[:, 1:]]
        last = tags[torch.arange(len(tags)), lengths - 1]
        return (
            torch.where(real, words, 0.0).sum(dim=1)
            + torch.where(real[:, 1:], steps, 0.0).sum(dim=1)
            + self.start[tags[:, 0]]
            + self.end[last]
        )

    def negative_log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Of each sentence's tags: emissions B x T x K, tags B x T, lengths B to B, float64."""
        return self.log_partition(emissions, lengths) - self.path_score(emissions, tags, lengths)

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """The best path of each sentence (Viterbi): B x T; what stands in padding means nothing."""
        score = self.start + emissions[:, 0]
        pointers = []
        stay = torch.arange(emissions.shape[2]).expand(len(emissions), -1)
        for word in range(1, emissions.shape[1]):
            best, pointer = (score[:, :, None] + self.transitions).max(dim=1)
            real = (word < lengths)[:, None]
            score = torch.where(real, best + emissions[:, word], score)
            pointers.append(torch.where(real, pointer, stay))
        path = [(score + self.end).argmax(dim=1)]
        for pointer in reversed(pointers):
            path.append(pointer.gather(1, path[-1][:, None]).squeeze(1))
        return torch.stack(path[::-1], dim=1)
