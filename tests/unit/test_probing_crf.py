"""The CRF against enumeration of all paths, and the BiLSTM-CRF against padding and seeds."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch

from layerscope.analysis.probing.bilstm_crf import Adam, BilstmCrf, batches, rows_of, sentences
from layerscope.analysis.probing.crf import Crf
from layerscope.analysis.probing.stacked_crf import StackedBilstmCrf, predict_stacked

TAGS = 3
LENGTHS = [4, 1, 3]


def random_crf(seed: int, scale: float = 1.0) -> tuple[Crf, torch.Tensor, torch.Tensor]:
    """A CRF with random scores, emissions of three sentences in a padded batch, and lengths."""
    generator = torch.Generator().manual_seed(seed)
    crf = Crf(TAGS)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    emissions = scale * torch.randn(len(LENGTHS), max(LENGTHS), TAGS, generator=generator)
    return crf, emissions, torch.tensor(LENGTHS)


def path_scores(crf: Crf, emissions: torch.Tensor, length: int) -> dict[tuple[int, ...], float]:
    """Score of every path of one sentence, by the definition."""
    start, end, steps = (p.detach().double() for p in (crf.start, crf.end, crf.transitions))
    words = emissions.double()
    return {
        path: float(
            start[path[0]]
            + end[path[-1]]
            + sum(words[i, tag] for i, tag in enumerate(path))
            + sum(steps[a, b] for a, b in pairwise(path))
        )
        for path in product(range(TAGS), repeat=length)
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_log_partition_likelihood_and_viterbi_equal_enumeration(seed: int) -> None:
    crf, emissions, lengths = random_crf(seed)
    partition = crf.log_partition(emissions, lengths)
    decoded = crf.decode(emissions, lengths)
    for row, length in enumerate(LENGTHS):
        scores = path_scores(crf, emissions[row], length)
        values = torch.tensor(list(scores.values()), dtype=torch.float64)
        expected = float(torch.logsumexp(values, 0))
        assert partition[row].item() == pytest.approx(expected, abs=1e-6)
        assert tuple(decoded[row, :length].tolist()) == max(scores, key=scores.__getitem__)
        # Likelihoods of all paths are those of the definition, and sum to one.
        paths = torch.tensor([[*path, *[0] * (4 - length)] for path in scores])
        many = emissions[row].expand(len(paths), -1, -1)
        losses = crf.negative_log_likelihood(many, paths, torch.full((len(paths),), length))
        np.testing.assert_allclose(losses.detach(), expected - values, atol=1e-5)
        assert (-losses).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_gradient_of_the_partition_is_the_marginals() -> None:
    crf, emissions, lengths = random_crf(4)
    emissions.requires_grad_()
    crf.log_partition(emissions, lengths).sum().backward()
    assert emissions.grad is not None
    for row, length in enumerate(LENGTHS):
        scores = path_scores(crf, emissions[row].detach(), length)
        total = float(torch.logsumexp(torch.tensor(list(scores.values())), 0))
        marginals = torch.zeros(max(LENGTHS), TAGS)
        for path, score in scores.items():
            for word, tag in enumerate(path):
                marginals[word, tag] += np.exp(score - total)
        np.testing.assert_allclose(emissions.grad[row], marginals, atol=1e-5)


def test_large_scores_neither_overflow_nor_vanish() -> None:
    crf, emissions, lengths = random_crf(5, scale=60.0)
    partition = crf.log_partition(emissions, lengths)
    for row, length in enumerate(LENGTHS):
        values = torch.tensor(list(path_scores(crf, emissions[row], length).values()))
        assert partition[row].item() == pytest.approx(float(torch.logsumexp(values, 0)), rel=1e-6)


def test_gradient_check_of_all_parameters() -> None:
    crf, emissions, lengths = random_crf(6)
    crf = crf.double()
    tags = torch.tensor([[0, 1, 2, 1], [2, 0, 0, 0], [1, 1, 0, 0]])
    points = [emissions.double().requires_grad_(), *crf.parameters()]

    def loss(*_: torch.Tensor) -> torch.Tensor:
        return crf.negative_log_likelihood(points[0], tags, lengths).sum()

    # Largest scores count as constants; taking them out and adding them again cancels.
    assert torch.autograd.gradcheck(loss, points)


def test_a_sentence_alone_and_in_a_padded_batch() -> None:
    torch.manual_seed(0)
    model = BilstmCrf(width=5, hidden=6, tags=TAGS)
    with torch.no_grad():
        for parameter in model.crf.parameters():
            parameter.normal_()
    words = torch.randn(3, 4, 5)
    tags = torch.tensor([[0, 1, 2, 1], [2, 0, 0, 0], [1, 1, 0, 0]])
    lengths = torch.tensor(LENGTHS)
    for padding in (0.0, 1e3):
        for row, length in enumerate(LENGTHS):
            words[row, length:] = padding
        emissions = model.emissions(words, lengths)
        losses = model.crf.negative_log_likelihood(emissions, tags, lengths)
        decoded = model.crf.decode(emissions, lengths)
        for row, length in enumerate(LENGTHS):
            only = torch.tensor([length])
            alone = model.emissions(words[row : row + 1, :length], only)
            torch.testing.assert_close(emissions[row, :length], alone[0], atol=1e-5, rtol=1e-5)
            loss = model.crf.negative_log_likelihood(alone, tags[row : row + 1, :length], only)
            assert losses[row].item() == pytest.approx(loss.item(), abs=1e-4)
            assert torch.equal(decoded[row, :length], model.crf.decode(alone, only)[0])


def test_both_directions_equal_torch_bidirectional_lstm_on_packed_sentences() -> None:
    torch.manual_seed(1)
    model = BilstmCrf(width=5, hidden=6, tags=TAGS)
    reference = torch.nn.LSTM(5, 3, batch_first=True, bidirectional=True)
    state = {f"{name}": value for name, value in model.ahead.state_dict().items()}
    state |= {f"{name}_reverse": value for name, value in model.back.state_dict().items()}
    reference.load_state_dict(state)
    words, lengths = torch.randn(3, 4, 5), torch.tensor(LENGTHS)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        words, lengths, batch_first=True, enforce_sorted=False
    )
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    expected = model.emit(outputs)
    emissions = model.emissions(words, lengths)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(
            emissions[row, :length], expected[row, :length], atol=1e-5, rtol=1e-5
        )


def test_adam_equals_torch() -> None:
    torch.manual_seed(2)
    ours = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(3))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    data = torch.randn(8, 4)

    def loss(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
        return ((data @ parameters[0] + parameters[1]).tanh() ** 2).sum()

    adam = Adam(ours, 0.05)
    reference = torch.optim.Adam(theirs, lr=0.05)
    for _ in range(20):
        adam.minimise(loss(ours))
        reference.zero_grad()
        loss(theirs).backward()
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def tagged_sentences(seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Words of sentences of 2 to 9 words.

    Tag 1 marks a cue, and tag 2 the word after it, which looks like any other: only a probe that
    reads the neighbours finds it.
    """
    rng = np.random.default_rng(seed)
    tags, examples = [], []
    for sentence in range(120):
        length = int(rng.integers(2, 10))
        cue = int(rng.integers(0, length))
        tags += [1 if i == cue else 2 if i == cue + 1 else 0 for i in range(length)]
        examples += [f"s{sentence}"] * length
    labels = np.asarray(tags)
    vectors = rng.normal(size=(len(labels), 8)).astype(np.float32)
    vectors[labels == 1, 0] += 6
    return vectors, labels, examples


def tag(seed: int, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true tags of test sentences."""
    train, true_labels, examples = tagged_sentences(0)
    test, truth, test_examples = tagged_sentences(1)
    (predicted,) = predict_stacked(
        train[None],
        true_labels if labels is None else labels,
        examples,
        test[None],
        test_examples,
        tags=3,
        hidden=8,
        epochs=12,
        batch_size=8,
        learning_rate=0.03,
        seed=seed,
    )
    return predicted, truth


def test_finds_a_tag_that_only_the_neighbour_tells() -> None:
    predicted, truth = tag(0)
    assert np.mean(predicted[truth == 2] == 2) > 0.9
    assert np.mean(predicted == truth) > 0.95


@pytest.mark.slow
def test_shuffled_tags_teach_nothing() -> None:
    labels = np.random.default_rng(3).permutation(tagged_sentences(0)[1])
    predicted, truth = tag(0, labels)
    assert np.mean(predicted == truth) <= np.mean(truth == 0) + 0.05


@pytest.mark.slow
def test_same_seed_same_tags_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first, _ = tag(5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(77)
    np.testing.assert_array_equal(first, tag(5)[0])


@torch.no_grad()
def separate(layers: int, width: int, hidden: int) -> tuple[StackedBilstmCrf, list[BilstmCrf]]:
    """Models with weights of their own, stacked and one by one."""
    torch.manual_seed(5)
    singles = [BilstmCrf(width, hidden, TAGS) for _ in range(layers)]
    stacked = StackedBilstmCrf(singles[0], layers)
    for layer, single in enumerate(singles):
        for parameter in single.crf.parameters():
            parameter.normal_()
        lstms = (single.ahead, single.back)
        stacked.read[layer] = torch.cat([lstm.weight_ih_l0 for lstm in lstms])
        for way, lstm in enumerate(lstms):
            stacked.remember[way, layer] = lstm.weight_hh_l0
            stacked.bias_read[way, layer] = lstm.bias_ih_l0
            stacked.bias_remember[way, layer] = lstm.bias_hh_l0
        stacked.emit[layer], stacked.emit_bias[layer] = single.emit.weight, single.emit.bias
        for name, parameter in single.crf.named_parameters():
            getattr(stacked.crf, name)[layer] = parameter
    return stacked, singles


def test_stacked_models_are_single_ones_side_by_side() -> None:
    stacked, singles = separate(3, 5, 4)
    words, lengths = torch.randn(3, len(LENGTHS), 4, 5), torch.tensor(LENGTHS)
    tags = torch.randint(TAGS, (len(LENGTHS), 4))
    stacked.loss(words, tags, lengths).backward()
    emissions = stacked.emissions(words, lengths)
    decoded = stacked.crf.decode(emissions, lengths)
    for layer, single in enumerate(singles):
        alone = single.emissions(words[layer], lengths)
        torch.testing.assert_close(emissions[layer], alone, atol=1e-6, rtol=1e-5)
        assert torch.equal(decoded[layer], single.crf.decode(alone, lengths))
        single.loss(words[layer], tags, lengths).backward()
        for gradient, lstm in zip(
            stacked.remember.grad[:, layer], (single.ahead, single.back), strict=True
        ):
            torch.testing.assert_close(gradient, lstm.weight_hh_l0.grad, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(
            stacked.crf.transitions.grad[layer], single.crf.transitions.grad, atol=1e-6, rtol=1e-4
        )


def trained_alone(
    vectors: np.ndarray, labels: np.ndarray, examples: list[str], settings: dict[str, Any]
) -> BilstmCrf:
    """One layer's probe, by PyTorch's own Adam."""
    torch.manual_seed(settings["seed"])
    model = BilstmCrf(vectors.shape[1], settings["hidden"], settings["tags"])
    optimiser = torch.optim.Adam(model.parameters(), settings["learning_rate"])
    (starts, lengths), rng = sentences(examples), np.random.default_rng(settings["seed"])
    for _ in range(settings["epochs"]):
        for batch in batches(lengths, settings["batch_size"], rng):
            rows = rows_of(starts, lengths, batch)
            words, tags = torch.from_numpy(vectors[rows]), torch.from_numpy(labels[rows])
            optimiser.zero_grad()
            model.loss(words, tags, torch.from_numpy(lengths[batch])).backward()
            optimiser.step()
    return model


def tagged_by(model: BilstmCrf, vectors: np.ndarray, examples: list[str]) -> np.ndarray:
    """Tags of sentences, each decoded by itself."""
    tags = []
    for start, length in zip(*sentences(examples), strict=True):
        words, lengths = torch.from_numpy(vectors[None, start : start + length]), [length]
        tags += model.crf.decode(
            model.emissions(words, torch.tensor(lengths)), torch.tensor(lengths)
        )[0].tolist()
    return np.asarray(tags)


def test_probes_of_all_layers_together_tag_as_one_at_a_time() -> None:
    train, labels, examples = tagged_sentences(0)
    test, _, test_examples = tagged_sentences(1)
    settings = {
        "tags": 3,
        "hidden": 8,
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 0.01,
        "seed": 3,
    }
    noise = np.random.default_rng(0).normal(size=(2, *train.shape)).astype(np.float32)
    layers = [train, train + noise[0], noise[1]]
    found = predict_stacked(
        np.stack(layers), labels, examples,
        np.stack([test] * 3), test_examples, **settings,
    )  # fmt: skip
    for layer, together in zip(layers, found, strict=True):
        alone = trained_alone(layer, labels, examples, settings)
        np.testing.assert_array_equal(together, tagged_by(alone, test, test_examples))
