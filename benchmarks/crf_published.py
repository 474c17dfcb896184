"""The published BiLSTM-CRF, corrected: the same model and loss as layerscope's, made another way.

A CRF whose forward recursion is a log-sum-exp over all pairs of tags at each word: as published one
sentence at a time, after LSTMs that compute on all padding (the published one even read it in its
backward direction, which is mended); or, as packages have it, for a whole padded batch, after a
bidirectional LSTM over packed sentences.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from layerscope.analysis.probing.bilstm_crf import BilstmCrf


class Published(nn.Module):
    """BiLSTM, linear map to tags, CRF; with the weights of one of layerscope's."""

    def __init__(self, model: BilstmCrf, one_at_a_time: bool) -> None:
        super().__init__()
        width, half = model.ahead.input_size, model.ahead.hidden_size
        self.padded = copy.deepcopy(model)
        self.lstm = nn.LSTM(width, half, batch_first=True, bidirectional=True)
        for name, value in model.ahead.named_parameters():
            getattr(self.lstm, name).data.copy_(value)
        for name, value in model.back.named_parameters():
            getattr(self.lstm, f"{name}_reverse").data.copy_(value)
        tags = model.emit.out_features
        self.emit = nn.Linear(2 * half, tags)
        self.emit.load_state_dict(model.emit.state_dict())
        self.start, self.end = (nn.Parameter(p.detach().clone()) for p in _ends(model))
        self.transitions = nn.Parameter(model.crf.transitions.detach().clone())
        self.one_at_a_time = one_at_a_time

    def emissions(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Scores of tags, B x T x K."""
        if self.one_at_a_time:
            return self.padded.emissions(words, lengths)
        packed = pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=words.shape[1]
        )
        return self.emit(states)

    def loss(self, words: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Mean negative log-likelihood of the sentences' tags."""
        emissions = self.emissions(words, lengths)
        if not self.one_at_a_time:
            return self._losses(emissions, tags, lengths).mean()
        losses = [
            self._losses(emissions[i : i + 1, :n], tags[i : i + 1, :n], lengths[i : i + 1])
            for i, n in enumerate(lengths.tolist())
        ]
        return torch.cat(losses).mean()

    def _losses(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        rows = torch.arange(len(tags))
        forward = self.start + emissions[:, 0]
        path = self.start[tags[:, 0]] + emissions[rows, 0, tags[:, 0]]
        for word in range(1, emissions.shape[1]):
            real = word < lengths
            scores = forward[:, :, None] + self.transitions + emissions[:, word, None, :]
            forward = torch.where(real[:, None], torch.logsumexp(scores, dim=1), forward)
            step = self.transitions[tags[:, word - 1], tags[:, word]]
            path = path + torch.where(real, step + emissions[rows, word, tags[:, word]], 0.0)
        path = path + self.end[tags[rows, lengths - 1]]
        return torch.logsumexp(forward + self.end, dim=1) - path

    @torch.no_grad()
    def decode(self, words: Tensor, lengths: Tensor) -> list[Tensor]:
        """The best path of each sentence (Viterbi), one at a time."""
        paths = []
        for scores, length in zip(self.emissions(words, lengths), lengths.tolist(), strict=True):
            best, pointers = self.start + scores[0], []
            for word in range(1, length):
                highest, pointer = (best[:, None] + self.transitions).max(dim=0)
                best = highest + scores[word]
                pointers.append(pointer)
            path = [int((best + self.end).argmax())]
            for pointer in reversed(pointers):
                path.append(int(pointer[path[-1]]))
            paths.append(torch.tensor(path[::-1]))
        return paths


def _ends(model: BilstmCrf) -> tuple[Tensor, Tensor]:
    return model.crf.start, model.crf.end
