"""The published BiLSTM-CRF, corrected, and one with a package's CRF: layerscope's model, otherwise.

As published: LSTMs that compute on all padding (the published one even read it in its backward
direction, which is mended), and a CRF one sentence at a time, whose forward recursion is a
log-sum-exp over all pairs of tags at each word. With the package `pytorch-crf`: a bidirectional
LSTM over packed sentences, and its CRF of a padded batch.
"""

from __future__ import annotations

import copy

import torch
import torchcrf
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from layerscope.analysis.probing.bilstm_crf import BilstmCrf


class Published(nn.Module):
    """BiLSTM, linear map to tags, CRF; with the weights of one of layerscope's."""

    def __init__(self, model: BilstmCrf) -> None:
        super().__init__()
        self.padded = copy.deepcopy(model)
        crf = model.crf
        self.start, self.end, self.transitions = (
            nn.Parameter(values.detach().clone())
            for values in (crf.start, crf.end, crf.transitions)
        )

    def loss(self, words: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Mean negative log-likelihood of the sentences' tags."""
        emissions = self.padded.emissions(words, lengths)
        losses = [
            self._loss(emissions[row, :length], tags[row, :length])
            for row, length in enumerate(lengths.tolist())
        ]
        return torch.stack(losses).mean()

    def _loss(self, emissions: Tensor, tags: Tensor) -> Tensor:
        forward = self.start + emissions[0]
        path = self.start[tags[0]] + emissions[0, tags[0]]
        for word in range(1, len(tags)):
            scores = forward[:, None] + self.transitions + emissions[word]
            forward = torch.logsumexp(scores, dim=0)
            path = path + self.transitions[tags[word - 1], tags[word]] + emissions[word, tags[word]]
        return torch.logsumexp(forward + self.end, dim=0) - path - self.end[tags[-1]]

    @torch.no_grad()
    def decode(self, words: Tensor, lengths: Tensor) -> list[list[int]]:
        """The best path of each sentence (Viterbi), one at a time."""
        paths = []
        emissions = self.padded.emissions(words, lengths)
        for scores, length in zip(emissions, lengths.tolist(), strict=True):
            best, pointers = self.start + scores[0], []
            for word in range(1, length):
                highest, pointer = (best[:, None] + self.transitions).max(dim=0)
                best = highest + scores[word]
                pointers.append(pointer)
            path = [int((best + self.end).argmax())]
            for pointer in reversed(pointers):
                path.append(int(pointer[path[-1]]))
            paths.append(path[::-1])
        return paths


class Packaged(nn.Module):
    """The same model with the CRF of `pytorch-crf`."""

    def __init__(self, model: BilstmCrf) -> None:
        super().__init__()
        width, half = model.ahead.input_size, model.ahead.hidden_size
        self.lstm = nn.LSTM(width, half, batch_first=True, bidirectional=True)
        for name, value in model.ahead.named_parameters():
            getattr(self.lstm, name).data.copy_(value)
        for name, value in model.back.named_parameters():
            getattr(self.lstm, f"{name}_reverse").data.copy_(value)
        self.emit = copy.deepcopy(model.emit)
        self.crf = torchcrf.CRF(model.emit.out_features, batch_first=True)
        self.crf.start_transitions.data.copy_(model.crf.start)
        self.crf.end_transitions.data.copy_(model.crf.end)
        self.crf.transitions.data.copy_(model.crf.transitions)

    def _emissions(self, words: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of tags, B x T x K, and which words are real."""
        packed = pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=words.shape[1]
        )
        return self.emit(states), torch.arange(words.shape[1]) < lengths[:, None]

    def loss(self, words: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Mean negative log-likelihood of the sentences' tags."""
        emissions, real = self._emissions(words, lengths)
        likelihood: Tensor = self.crf(emissions, tags, mask=real, reduction="mean")
        return -likelihood

    @torch.no_grad()
    def decode(self, words: Tensor, lengths: Tensor) -> list[list[int]]:
        """The best path of each sentence."""
        emissions, real = self._emissions(words, lengths)
        paths: list[list[int]] = self.crf.decode(emissions, mask=real)
        return paths
