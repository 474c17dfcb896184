"""The published NER probe: a BiLSTM with a conditional random field on frozen word vectors.

One layer's; `stacked_crf` trains those of all layers together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from layerscope.analysis.probing.crf import Crf

Codes = npt.NDArray[np.int64]


class BilstmCrf(nn.Module):
    """Two LSTMs, one in each direction, a linear map to tags and a CRF.

    The backward LSTM reads each sentence from its own last word, so padding always stands after
    the words and reaches neither direction, without packing (which keeps oneDNN's fused kernels
    out on CPU and takes three times longer).
    """

    def __init__(self, width: int, hidden: int, tags: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(width, hidden // 2, batch_first=True)
        self.back = nn.LSTM(width, hidden // 2, batch_first=True)
        self.emit = nn.Linear(2 * (hidden // 2), tags)
        self.crf = Crf(tags)

    def emissions(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Scores of tags: words B x T x width and lengths B to B x T x K."""
        mirrored = mirror(lengths, words.shape[1])[:, :, None]
        ahead, _ = self.ahead(words)
        back, _ = self.back(words.gather(1, mirrored.expand_as(words)))
        back = back.gather(1, mirrored.expand_as(back))
        return self.emit(torch.cat([ahead, back], dim=2))

    def loss(self, words: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Mean negative log-likelihood of the sentences' tags."""
        emissions = self.emissions(words, lengths)
        return self.crf.negative_log_likelihood(emissions, tags, lengths).mean()


def mirror(lengths: Tensor, longest: int) -> Tensor:
    """Places of the words of each sentence from its last one on, B x T; padding stays in place."""
    places = torch.arange(longest, device=lengths.device)
    return torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)


class Adam:
    """Adam (Kingma and Ba 2015) with its usual constants; equals `torch.optim.Adam`.

    Written out because `torch.optim` imports torch's compiler when first used, which takes as
    long as training a probe on every layer of a small model.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        self._parameters = list(parameters)
        self._first = [torch.zeros_like(p) for p in self._parameters]
        self._second = [torch.zeros_like(p) for p in self._parameters]
        self._learning_rate, self._steps = learning_rate, 0

    def minimise(self, loss: Tensor) -> None:
        """One step down the gradient of a loss that depends on all parameters."""
        self._steps += 1
        size = self._learning_rate / (1 - 0.9**self._steps)
        correction = (1 - 0.999**self._steps) ** 0.5
        gradients = torch.autograd.grad(loss, self._parameters)
        with torch.no_grad():
            for parameter, gradient, first, second in zip(
                self._parameters, gradients, self._first, self._second, strict=True
            ):
                first.lerp_(gradient, 0.1)
                second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                parameter.addcdiv_(first, (second.sqrt() / correction).add_(1e-8), value=-size)


def batches(lengths: Codes, size: int, rng: np.random.Generator | None) -> Iterator[Codes]:
    """Sentences of similar length together; with `rng`, in random order."""
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    cut = [order[start : start + size] for start in range(0, len(order), size)]
    places = np.arange(len(cut)) if rng is None else rng.permutation(len(cut))
    return (cut[place] for place in places)


def rows_of(starts: Codes, lengths: Codes, batch: Codes) -> Codes:
    """Row of each word of a batch, B x T; padding repeats the sentence's last word."""
    words = np.minimum(np.arange(lengths[batch].max()), lengths[batch][:, None] - 1)
    return starts[batch][:, None] + words


def sentences(examples: Sequence[str]) -> tuple[Codes, Codes]:
    """First row and number of words of each run of equal example ids."""
    ids = np.asarray(examples, dtype=np.str_)
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    return starts, np.diff(np.append(starts, len(ids)))
