"""The BiLSTM-CRF probes of all layers as one model, whose first dimension are the layers.

LSTMs and the recursion of a CRF are steps of small products, which leave a GPU waiting, and cost a
processor more in calls than in arithmetic where vectors are narrow. All layers learn the same
labels from the same sentences in the same order, so that each step is taken for all together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from layerscope.analysis.probing.bilstm_crf import (
    Adam,
    BilstmCrf,
    Codes,
    batches,
    mirror,
    rows_of,
    sentences,
)
from layerscope.analysis.probing.crf import Crf
from layerscope.analysis.probing.features import Vectors
from layerscope.config.probes import DECODED


class StackedBilstmCrf(nn.Module):
    """L models such as a `BilstmCrf`, all with its weights at first.

    Shapes: L layers, B sentences, T words in the longest, K tags, h units of a direction, of which
    there are two.
    """

    def __init__(self, one: BilstmCrf, layers: int) -> None:
        super().__init__()

        directions = [dict(lstm.named_parameters()) for lstm in (one.ahead, one.back)]

        def stacked(name: str) -> nn.Parameter:
            both = torch.stack([own[name].detach() for own in directions])
            return nn.Parameter(both[:, None].repeat(1, layers, *[1] * (both.dim() - 1)))

        read = torch.cat([own["weight_ih_l0"].detach() for own in directions])
        self.read = nn.Parameter(read.repeat(layers, 1, 1))  # L x 8h x width: one product for both
        self.remember = stacked("weight_hh_l0")  # 2 x L x 4h x h
        # Two biases, as an LSTM has: Adam moves their sum twice as far as it would move one.
        self.bias_read, self.bias_remember = stacked("bias_ih_l0"), stacked("bias_hh_l0")
        self.emit = nn.Parameter(one.emit.weight.detach().repeat(layers, 1, 1))  # L x K x 2h
        self.emit_bias = nn.Parameter(one.emit.bias.detach().repeat(layers, 1))
        self.crf = Crf(one.crf.start.shape[0])
        for name, parameter in one.crf.named_parameters():
            many = parameter.detach().repeat(layers, *[1] * parameter.dim())
            setattr(self.crf, name, nn.Parameter(many))

    def emissions(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Scores of tags: words L x B x T x width and lengths B to L x B x T x K."""
        layers, count, longest, width = words.shape
        flat = words.reshape(layers, count * longest, width)
        read = torch.bmm(flat, self.read.transpose(1, 2)).view(layers, count, longest, 2, -1)
        bias = (self.bias_read + self.bias_remember).transpose(0, 1)
        read = (read + bias[:, None, None]).permute(3, 0, 1, 2, 4)
        ahead, back = read.unbind(0)
        mirrored = mirror(lengths, longest)[None, :, :, None]
        back = back.gather(2, mirrored.expand_as(back))
        ahead, back = self._remembered(torch.stack([ahead, back])).unbind(0)
        back = back.gather(2, mirrored.expand_as(back))
        both = torch.cat([ahead, back], dim=3).view(layers, count * longest, -1)
        found = torch.baddbmm(self.emit_bias[:, None], both, self.emit.transpose(1, 2))
        return found.view(layers, count, longest, -1)

    def _remembered(self, read: Tensor) -> Tensor:
        """States of the LSTMs: 2 x L x B x T x 4h, what they read, to 2 x L x B x T x h."""
        weights = self.remember.flatten(0, 1).transpose(1, 2)
        inputs = read.flatten(0, 1)
        state = inputs.new_zeros(*inputs.shape[:2], weights.shape[1])
        cell, states = state, []
        for word in inputs.unbind(2):
            gates = torch.baddbmm(word, state, weights)
            enter, keep, new, leave = gates.chunk(4, dim=2)
            cell = keep.sigmoid() * cell + enter.sigmoid() * new.tanh()
            state = leave.sigmoid() * cell.tanh()
            states.append(state)
        return torch.stack(states, dim=2).view(*read.shape[:4], -1)

    def loss(self, words: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Sum over layers of the mean negative log-likelihood of the sentences' tags."""
        emissions = self.emissions(words, lengths)
        return self.crf.negative_log_likelihood(emissions, tags, lengths).mean(dim=-1).sum()


def predict_stacked(
    train: Vectors,
    labels: Codes,
    train_examples: Sequence[str],
    test: Vectors,
    test_examples: Sequence[str],
    *,
    device: str | torch.device = "cpu",
    tags: int,
    hidden: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> list[Codes]:
    """Train the probes of all layers and tag the test sentences; the same seed, the same tags.

    All begin with the same weights and read the same batches, so that a layer's tags do not depend
    on which others are there.

    Args:
        train: layers x words x width, float32, standardised.
        labels: tag of each training word.
        train_examples: sentence of each training word; words of a sentence are consecutive.
        test: layers x words x width, standardised with the training words.
        test_examples: sentence of each test word.
        device: to compute on.
        tags: number of tags.
        hidden: units of both directions together.
        epochs: passes over the training sentences.
        batch_size: sentences in a step of Adam.
        learning_rate: of Adam.
        seed: of the weights and of the order of batches.

    Returns:
        Predicted tag of each test word, by layer.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        one = BilstmCrf(train.shape[2], hidden, tags)
    model = StackedBilstmCrf(one, len(train)).to(device)
    vectors, targets = torch.from_numpy(train).to(device), torch.from_numpy(labels).to(device)
    starts, lengths = sentences(train_examples)
    optimiser = Adam(model.parameters(), learning_rate)
    for _ in range(epochs):
        for batch in batches(lengths, batch_size, rng):
            rows = torch.from_numpy(rows_of(starts, lengths, batch)).to(device)
            counts = torch.from_numpy(lengths[batch]).to(device)
            optimiser.minimise(model.loss(vectors[:, rows], targets[rows], counts))
    return _decode(model, torch.from_numpy(test).to(device), test_examples)


@torch.no_grad()
def _decode(model: StackedBilstmCrf, test: Tensor, examples: Sequence[str]) -> list[Codes]:
    starts, lengths = sentences(examples)
    predicted = np.empty((len(test), test.shape[1]), dtype=np.int64)
    for batch in batches(lengths, DECODED, None):
        rows = rows_of(starts, lengths, batch)
        counts = torch.from_numpy(lengths[batch]).to(test.device)
        emissions = model.emissions(test[:, torch.from_numpy(rows).to(test.device)], counts)
        real = np.arange(rows.shape[1]) < lengths[batch][:, None]
        predicted[:, rows[real]] = model.crf.decode(emissions, counts).cpu().numpy()[:, real]
    return list(predicted)
