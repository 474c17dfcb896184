"""Attention measures against plain loops and closed forms."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from attention_loops import entropy_of, pair_of, part_of

from layerscope.extraction.attention import (
    cosine,
    entropy_bits,
    jensen_shannon,
    layer_measures,
    mean_distance,
    restrict,
    row_mean,
    token_fractions,
)

Maps = np.ndarray[Any, np.dtype[np.float64]]
LENGTHS = [7, 5, 7, 2]
SPECIAL = [[0, 6], [0, 4], [0, 3, 6], [0]]
TOKENS, HEADS = 7, 3
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


def random_maps(seed: int, *, causal: bool = False) -> Maps:
    """Row-stochastic maps, batch x heads x tokens x tokens, with nothing on padding."""
    rng = np.random.default_rng(seed)
    maps = rng.gamma(0.5, size=(len(LENGTHS), HEADS, TOKENS, TOKENS)) + 1e-9
    for row, length in enumerate(LENGTHS):
        maps[row, :, :, length:] = 0
    if causal:
        maps *= np.tril(np.ones((TOKENS, TOKENS)))
    return maps / maps.sum(axis=-1, keepdims=True)


def tensor(array: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(array, dtype=np.float32))


REAL = tensor([[int(at < length) for at in range(TOKENS)] for length in LENGTHS])
SPECIALS = tensor([[int(at in each) for at in range(TOKENS)] for each in SPECIAL])


def measured(
    maps: Maps, before: Maps | None = None, other_seed: Maps | None = None
) -> dict[str, np.ndarray]:
    found = layer_measures(
        tensor(maps),
        REAL,
        SPECIALS,
        None if before is None else tensor(before),
        None if other_seed is None else tensor(other_seed),
    )
    return {name: value.numpy() for name, value in found.items()}


# --- the same in loops -------------------------------------------------------------------------


EVERY = list(itertools.product(range(len(LENGTHS)), range(HEADS)))


@pytest.mark.parametrize("causal", [False, True])
def test_measures_are_those_of_loops(causal: bool) -> None:
    before, maps, other = (random_maps(seed, causal=causal) for seed in (1, 2, 3))
    plain = [
        [at for at in range(length) if at not in special]
        for length, special in zip(LENGTHS, SPECIAL, strict=True)
    ]
    found = measured(maps, before, other)
    assert len(found) == 14
    for row, head in EVERY:
        length = LENGTHS[row]
        real = list(range(length))
        own = [maps[row, head, at, :length] for at in real]

        def expect(name: str, value: float, at: tuple[int, int] = (row, head)) -> None:
            np.testing.assert_allclose(found[name][at], value, **CLOSE, err_msg=f"{name} {at}")

        expect("entropy", np.mean([entropy_of(each) for each in own]))
        expect(
            "distance",
            np.mean([sum(p * abs(q - k) for k, p in enumerate(own[q])) for q in real]),
        )
        expect("special", np.mean([sum(each[at] for at in SPECIAL[row]) for each in own]))
        expect("first", np.mean([each[0] for each in own]))
        neighbour = maps[row, (head - 1) % HEADS]
        previous = (row - 1) % len(LENGTHS)
        common = list(range(min(length, LENGTHS[previous])))
        for name, one, two in (
            ("", part_of(before[row, head], real), own),
            ("_ceiling", own, [other[row, head, at, :length] for at in real]),
            (
                "_no_special",
                part_of(before[row, head], plain[row]),
                part_of(maps[row, head], plain[row]),
            ),
            ("_null_head", part_of(before[row, head], real), part_of(neighbour, real)),
            (
                "_null_sentence",
                part_of(before[row, head], common),
                part_of(maps[previous, head], common),
            ),
        ):
            cos, jsd = pair_of(one, two)
            expect(f"cosine{name}", cos)
            expect(f"jsd{name}", jsd)


def test_measures_that_need_another_model_are_not_made_up() -> None:
    maps, other = random_maps(1), random_maps(2)
    alone = {"entropy", "distance", "special", "first"}
    assert set(measured(maps)) == alone
    assert set(measured(maps, None, other)) == alone | {"cosine_ceiling", "jsd_ceiling"}
    assert not {name for name in measured(maps, other) if "ceiling" in name}


def test_one_head_and_one_sentence_have_no_null() -> None:
    maps, before = tensor(random_maps(1))[:1, :1], tensor(random_maps(2))[:1, :1]
    found = layer_measures(maps, REAL[:1], SPECIALS[:1], before, None)
    assert not [name for name in found if "null" in name]


# --- known values ------------------------------------------------------------------------------


def test_a_map_is_wholly_like_itself() -> None:
    maps = random_maps(1)
    found = measured(maps, maps, maps)
    for name in ("", "_no_special", "_ceiling"):
        np.testing.assert_allclose(found[f"cosine{name}"], 1, rtol=1e-6)
        np.testing.assert_allclose(found[f"jsd{name}"], 0, atol=1e-6)
    for name in ("_null_head", "_null_sentence"):
        assert found[f"cosine{name}"].mean() < 0.8
        assert found[f"jsd{name}"].mean() > 0.2


def test_the_nulls_see_a_likeness_between_heads_and_sentences() -> None:
    maps = random_maps(1)
    same_heads = np.broadcast_to(maps[:, :1], maps.shape).copy()
    np.testing.assert_allclose(measured(same_heads, same_heads)["jsd_null_head"], 0, atol=1e-6)
    uniform = np.broadcast_to(REAL.numpy()[:, None, None, :], maps.shape).astype(float)
    uniform = uniform / uniform.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(measured(uniform, uniform)["cosine_null_sentence"], 1, rtol=1e-6)


def test_maps_without_a_common_place_are_wholly_unlike() -> None:
    left = np.zeros((1, 1, 4, 4))
    right = np.zeros((1, 1, 4, 4))
    left[..., 0] = right[..., 3] = 1
    rows = torch.ones(1, 4)
    assert jensen_shannon(tensor(left), tensor(right), rows).item() == pytest.approx(1)
    assert cosine(tensor(left), tensor(right), rows).item() == 0


def test_jensen_shannon_is_symmetric_and_between_0_and_1() -> None:
    a, b = tensor(random_maps(1)), tensor(random_maps(2))
    one, other = jensen_shannon(a, b, REAL), jensen_shannon(b, a, REAL)
    torch.testing.assert_close(one, other)
    assert ((one > 0) & (one < 1)).all()


@pytest.mark.parametrize("length", [1, 2, 9, 40])
def test_a_uniform_causal_map_in_closed_form(length: int) -> None:
    maps = np.tril(np.ones((length, length)))
    maps /= maps.sum(axis=1, keepdims=True)
    rows = torch.ones(1, length)
    distance = mean_distance(tensor(maps)[None, None], rows).item()
    assert distance == pytest.approx((length - 1) / 4, rel=1e-5)  # row i looks i / 2 back
    entropy = row_mean(entropy_bits(tensor(maps)[None, None]), rows).item()
    assert entropy == pytest.approx(math.log2(math.factorial(length)) / length, rel=1e-5)


@pytest.mark.parametrize("length", [1, 2, 9, 40])
@pytest.mark.parametrize("padding", [0, 5])
def test_fractions_of_a_uniform_map_in_closed_form(length: int, padding: int) -> None:
    """Padding stands before or after, with attention on it that must not count as the first."""
    causal = np.tril(np.ones((length, length)))
    causal /= causal.sum(axis=1, keepdims=True)
    both = np.stack([np.full((length, length), 1 / length), causal])
    harmonic = sum(1 / at for at in range(1, length + 1))
    for before in {0, padding}:
        pad = ((before, padding - before),) * 2
        maps = tensor(np.pad(both, ((0, 0), *pad)))[None]
        maps[:, :, :before] = maps[:, :, before + length :] = 0.7  # of padded queries
        real = tensor(np.pad(np.ones(length), pad[0]))[None]
        special = torch.zeros_like(real)
        special[0, before] = special[0, before + length - 1] = 1
        found = token_fractions(maps, real, special)
        bidirectional, decoder = found["first"][0].tolist()
        assert bidirectional == pytest.approx(1 / length, rel=1e-5)
        assert decoder == pytest.approx(harmonic / length, rel=1e-5)
        ends = min(length, 2)
        assert found["special"][0, 0].item() == pytest.approx(ends / length, rel=1e-5)
        # Of the causal one only the last row sees the last token.
        last = 1 / length**2 if length > 1 else 0
        assert found["special"][0, 1].item() == pytest.approx(harmonic / length + last, rel=1e-5)


def test_without_special_tokens_their_fraction_is_zero() -> None:
    maps = tensor(random_maps(1))
    found = token_fractions(maps, REAL, torch.zeros_like(REAL))
    assert (found["special"] == 0).all()
    assert (found["first"] > 0).all()


def test_entropy_of_sure_and_of_unsure_rows() -> None:
    assert entropy_bits(torch.eye(4)).tolist() == [0, 0, 0, 0]
    torch.testing.assert_close(entropy_bits(torch.full((3, 8), 1 / 8)), torch.full((3,), 3.0))


def test_where_no_row_counts_there_is_no_value() -> None:
    a, none = tensor(random_maps(1)), torch.zeros(len(LENGTHS), TOKENS)
    assert cosine(a, a, none).isnan().all()
    assert jensen_shannon(a, a, none).isnan().all()


def test_restricting_normalises_what_is_left_and_says_how_much_it_was() -> None:
    maps = tensor([[[[0.5, 0.2, 0.3], [0.0, 1.0, 0.0], [0.1, 0.1, 0.8]]]])
    kept, mass = restrict(maps, tensor([[1, 0, 1]]))
    torch.testing.assert_close(mass, tensor([[[0.8, 0.0, 0.9]]]))
    torch.testing.assert_close(kept[0, 0, 0], tensor([0.625, 0, 0.375]))
    assert kept[0, 0, 1].sum() == 0


def test_a_row_that_looks_at_special_tokens_alone_is_left_out() -> None:
    before, maps = random_maps(1), random_maps(2)
    maps[0, 0, 2] = [1, 0, 0, 0, 0, 0, 0]  # position 0 is special
    found = measured(maps, before)
    keep = [1, 3, 4, 5]
    for head in range(HEADS):  # in every head, so that heads stay comparable
        columns = [1, 2, 3, 4, 5]
        rows = [
            [each[0, head, at, columns] / each[0, head, at, columns].sum() for at in keep]
            for each in (before, maps)
        ]
        cos, jsd = pair_of(*rows)
        np.testing.assert_allclose(found["cosine_no_special"][0, head], cos, **CLOSE)
        np.testing.assert_allclose(found["jsd_no_special"][0, head], jsd, **CLOSE)
