"""The published probe of words, a BiLSTM with a CRF: a pass over the training sentences of a layer.

- layerscope: `predict_stacked` of one layer: batches of similar length, LSTMs without packing, a
  forward recursion of matrix products; with its tagging of the test sentences.
- published: batches in random order, padded to the longest sentence of the data; the CRF one
  sentence at a time, forward and Viterbi.
- pytorch-crf: batches in random order, padded to their own longest, packed for the LSTM; the CRF
  of that package.
- limit: a matrix product, against the LSTM's products on real words alone: 8 x hidden / 2 x
  (width + hidden / 2) a direction and word forward, three times that in training. All else, the
  CRF, padding and Adam, counts as loss.

Sentences are as long as JNLPBA's.

    python benchmarks/stage_crf.py [--smoke] [--out FILE]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import made
import measure
import numpy as np
import numpy.typing as npt
import stage
import torch
from crf_published import Packaged, Published

from layerscope.analysis.probing.bilstm_crf import Adam, BilstmCrf
from layerscope.analysis.probing.stacked_crf import predict_stacked

#: Sentences of training for layerscope, pytorch-crf and published; width, hidden units, tags.
SIZES = {"full": (1920, 512, 128, 768, 256, 11), "smoke": (96, 64, 32, 32, 16, 5)}
TURNS = {"full": 3, "smoke": 1}
BATCH, RATE, TEST = 64, 0.001, 4  # a quarter as many test sentences
TOLERANCE = 1e-4  # of the loss of a step, over its size
STEPS = 6  # on which losses are compared

OTHERS: dict[str, type[Published | Packaged]] = {"published": Published, "pytorch-crf": Packaged}

Codes = npt.NDArray[np.int64]
Shape = tuple[int, int, int]  # width, hidden units, tags


class Data:
    """Sentences: vectors and tags of all words, and the words of each sentence."""

    def __init__(self, count: int, width: int, tags: int, seed: int) -> None:
        self.lengths = made.sentence_lengths(count, seed)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.words = int(self.lengths.sum())
        vectors, self.tags = made.labelled_vectors(self.words, width, tags, apart=0.5)
        self.vectors = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
        self.examples = np.repeat([f"s{row}" for row in range(count)], self.lengths)

    def batch(self, chosen: Codes, longest: int | None = None) -> tuple[torch.Tensor, ...]:
        """Words, tags and lengths of some sentences, padded with zeros."""
        lengths = torch.from_numpy(self.lengths[chosen])
        places = longest or int(lengths.max())
        words = torch.zeros(len(chosen), places, self.vectors.shape[1])
        tags = torch.zeros(len(chosen), places, dtype=torch.int64)
        for row, sentence in enumerate(chosen):
            own = slice(self.starts[sentence], self.starts[sentence] + self.lengths[sentence])
            words[row, : lengths[row]] = torch.from_numpy(self.vectors[own])
            tags[row, : lengths[row]] = torch.from_numpy(self.tags[own])
        return words, tags, lengths

    def batches(self, seed: int = 0) -> list[Codes]:
        """Sentences in random order."""
        order = np.random.default_rng(seed).permutation(len(self.lengths))
        return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def fresh(width: int, hidden: int, tags: int) -> BilstmCrf:
    """A model with the same weights every time."""
    torch.manual_seed(0)
    return BilstmCrf(width, hidden, tags)


def other(
    way: type[Published | Packaged], train: Data, test: Data, shape: Shape, longest: int | None
) -> None:
    """A pass over the training sentences, then tags of the test sentences.

    Sentences are padded to so many words, or to the longest of their batch.
    """
    model = way(fresh(*shape))
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    for chosen in train.batches():
        loss = model.loss(*train.batch(chosen, longest))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for chosen in test.batches():
        words, _, lengths = test.batch(chosen, longest)
        model.decode(words, lengths)


def losses(data: Data, shape: Shape) -> dict[str, list[float]]:
    """Loss of each of some steps by way, on the same batches from the same weights."""
    chosen = (data.batches() * STEPS)[:STEPS]
    model = fresh(*shape)
    optimiser = Adam(model.parameters(), RATE)
    found: dict[str, list[float]] = {name: [] for name in ("layerscope", *OTHERS)}
    for sentences in chosen:
        loss = model.loss(*data.batch(sentences))
        found["layerscope"].append(loss.item())
        optimiser.minimise(loss)
    for name, way in OTHERS.items():
        reference = way(fresh(*shape))
        steps = torch.optim.Adam(reference.parameters(), lr=RATE)
        for sentences in chosen:
            loss = reference.loss(*data.batch(sentences, int(data.lengths.max())))
            found[name].append(loss.item())
            steps.zero_grad()
            loss.backward()
            steps.step()
    return found


def run(size: str) -> dict[str, Any]:
    """Measure; `size` is "full" or "smoke"."""
    *counts, width, hidden, tags = SIZES[size]
    shape = (width, hidden, tags)
    names = ("layerscope", "pytorch-crf", "published")
    train = {n: Data(c, width, tags, seed=0) for n, c in zip(names, counts, strict=True)}
    test = {n: Data(c // TEST, width, tags, seed=1) for n, c in zip(names, counts, strict=True)}
    longest = max(int(data.lengths.max()) for data in (*train.values(), *test.values()))

    compared = losses(train["pytorch-crf"], shape)
    equal: dict[str, Any] = {}
    for name in OTHERS:
        ratio = np.asarray(compared["layerscope"]) / np.asarray(compared[name])
        equal |= stage.equal(
            f"loss of {STEPS} steps over that of {name}", ratio, np.ones(STEPS), TOLERANCE
        )

    def ours() -> None:
        learnt, asked = train["layerscope"], test["layerscope"]
        predict_stacked(
            learnt.vectors[None], learnt.tags, learnt.examples, asked.vectors[None], asked.examples,
            tags=tags, hidden=hidden, epochs=1, batch_size=BATCH, learning_rate=RATE, seed=0,
        )  # fmt: skip

    product, operations = stage.product(size)
    ways: dict[str, Callable[[], Any]] = {
        "layerscope": ours,
        **{
            name: lambda name=name, way=way: other(
                way, train[name], test[name], shape, longest if way is Published else None
            )
            for name, way in OTHERS.items()
        },
        "product": product,
    }
    taken = measure.take_turns(ways, TURNS[size])
    product_seconds = taken.pop("product")
    figures = {n: stage.way(train[n].words, seconds, "words/s") for n, seconds in taken.items()}
    ratios = {
        f"layerscope / {name}": stage.faster(figures["layerscope"], figures[name])
        for name in OTHERS
    }
    a_word = 2 * 8 * (hidden // 2) * (width + hidden // 2)
    needed = a_word * (3 * train["layerscope"].words + test["layerscope"].words)
    return {
        "stage": "crf",
        "shape": f"one layer, {width} wide, BiLSTM {hidden}, {tags} tags; one pass over "
        f"{counts[0]} sentences as long as JNLPBA's (pytorch-crf: {counts[1]}, published: "
        f"{counts[2]}; throughput is compared), and tags of a quarter as many",
        "equal": equal,
        "ways": figures,
        "ratios": ratios,
        "limit": {
            "layerscope, of a matrix product": stage.share(
                needed, taken["layerscope"], operations, product_seconds
            )
        },
        "goal": "6 x published, the same loss to 1e-4 on the same batches",
        "reached": bool(ratios["layerscope / published"]["median"] >= 6),
        "notes": f"rates are of training words; losses from {compared['layerscope'][0]:.2f} to "
        f"{compared['layerscope'][-1]:.2f}; published is padded to the "
        f"longest of all, {longest} words",
    }  # fmt: skip


if __name__ == "__main__":
    stage.main(run)
