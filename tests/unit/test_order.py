"""The order of training examples is a function of seed and epoch, in batches of similar length."""

from __future__ import annotations

from itertools import pairwise

import torch
from accelerate.data_loader import SeedableRandomSampler
from hypothesis import given
from hypothesis import strategies as st

from layerscope.training.order import BATCHES_TOGETHER, Epochs, shuffled, similar_lengths

LENGTHS = st.lists(st.integers(min_value=1, max_value=99), min_size=1, max_size=300)


@given(lengths=LENGTHS, batch=st.integers(1, 9), seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_each_example_comes_once_and_the_longest_early(
    lengths: list[int], batch: int, seed: int, epoch: int
) -> None:
    order = similar_lengths(lengths, batch, seed, epoch)
    assert sorted(order) == list(range(len(lengths)))
    torch.rand(3)  # what else draws does not matter
    assert similar_lengths(lengths, batch, seed, epoch) == order
    whole = len(lengths) // batch * batch
    if whole:
        longest = max(lengths[index] for index in order[:whole])
        assert longest in [lengths[index] for index in order[:batch]]


def test_batches_have_similar_lengths() -> None:
    lengths = [1 + index * 7 % 100 for index in range(8 * BATCHES_TOGETHER * 2 + 3)]
    order = similar_lengths(lengths, 8, 1, 0)
    batches = [order[at : at + 8] for at in range(0, len(order), 8)]
    spreads = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches]
    assert len(batches[-1]) == 3
    assert max(spreads[:-1]) <= 4  # of 100, were they drawn at random: more than 50
    means = [sum(lengths[i] for i in b) / len(b) for b in batches]
    falling = sum(one > two for one, two in pairwise(means))
    assert 0.3 < falling / len(means) < 0.7  # long and short batches take turns at random


def test_epochs_and_seeds_differ() -> None:
    lengths = [1 + index % 10 for index in range(64)]
    orders = {
        tuple(similar_lengths(lengths, 4, seed, epoch)) for seed in (1, 2) for epoch in (0, 1)
    }
    assert len(orders) == 4
    together = {frozenset(order[at : at + 4]) for order in orders for at in range(0, 64, 4)}
    assert len(together) > 40  # other batches too, not the same ones in another order


def test_a_shuffled_epoch_is_that_of_a_seedable_sampler() -> None:
    sampler = SeedableRandomSampler(range(50), data_seed=7)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert list(sampler) == shuffled(50, 7, epoch)


def test_epochs_give_items_in_their_order() -> None:
    items = [{"n": index} for index in range(4)]
    data = Epochs(
        items,
        lambda epoch: [3, 2, 1, 0] if epoch else [0, 1, 2, 3],
        lambda item, epoch, index: {**item, "at": (epoch, index)},
    )
    assert [data[place]["n"] for place in range(len(data))] == [0, 1, 2, 3]
    data.set_epoch(1)
    assert [data[place] for place in range(2)] == [{"n": 3, "at": (1, 3)}, {"n": 2, "at": (1, 2)}]
