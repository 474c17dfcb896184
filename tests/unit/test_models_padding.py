"""Batches, pooling, and that padding never enters: alone and in a batch everything is the same."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import TEXTS, Tiny, everything

from layerscope.config.extraction import Activations
from layerscope.extraction.activations import sequence_vectors, word_vectors
from layerscope.extraction.attention import compare_attention
from layerscope.models.batching import collate, length_batches
from layerscope.models.forward import PROCESSOR_TOKENS, batches, forward
from layerscope.models.inputs import (
    Encoded,
    SpecialTokens,
    encode_pairs,
    encode_text,
    encode_words,
    labelled_position,
    tokenise_words,
)
from layerscope.models.load import load_with_head
from layerscope.models.pooling import last_tokens, sequence_means, word_lasts, word_means

ONE = Activations(batch_tokens=1, dtype="float32")  # a batch for every sequence
ALL = Activations(batch_tokens=100_000, dtype="float32")  # one batch for all of them
CLOSE = {"rtol": 1e-4, "atol": 2e-5}
RAGGED = ["no", TEXTS[0], "the skin", TEXTS[4], "a"]


def texts(tiny: Tiny) -> list[Encoded]:
    return encode_text(tiny.tokenizer, tiny.special_tokens, RAGGED, 64)[0]


def sentences(tiny: Tiny) -> list[Encoded]:
    words = [text.split() for text in RAGGED]
    pieces = tokenise_words(
        tiny.tokenizer, tiny.special_tokens, [w for each in words for w in each]
    )
    return [
        window for each in words for window in encode_words(pieces, tiny.special_tokens, each, 64)
    ]


# --- batches -----------------------------------------------------------------------------------


@given(
    lengths=st.lists(st.integers(min_value=1, max_value=50), max_size=60),
    budget=st.integers(min_value=1, max_value=300),
    overhead=st.integers(min_value=0, max_value=100),
)
def test_batches_hold_each_index_once_within_the_budget(
    lengths: list[int], budget: int, overhead: int
) -> None:
    found = length_batches(lengths, budget, overhead)
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        assert max(lengths[index] for index in batch) * len(batch) <= budget or len(batch) == 1
    for batch, following in pairwise(found):
        assert min(lengths[index] for index in batch) >= lengths[following[0]]  # longest first


@given(
    lengths=st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=9),
    budget=st.integers(min_value=1, max_value=300),
    overhead=st.integers(min_value=0, max_value=100),
)
def test_no_other_cut_costs_less(lengths: list[int], budget: int, overhead: int) -> None:
    """Of all ways to cut the sorted lengths."""
    ordered = sorted(lengths, reverse=True)
    allowed = []
    for cuts in itertools.product([False, True], repeat=len(ordered) - 1):
        ends = [at for at, cut in enumerate(cuts, start=1) if cut]
        parts = [ordered[a:b] for a, b in pairwise([0, *ends, len(ordered)])]
        if all(len(part) == 1 or part[0] * len(part) <= budget for part in parts):
            allowed.append(sum(part[0] * len(part) + overhead for part in parts))
    found = length_batches(lengths, budget, overhead)
    cost = sum(lengths[batch[0]] * len(batch) + overhead for batch in found)
    assert cost == min(allowed)


def test_a_processor_gets_small_batches_and_a_gpu_few() -> None:
    lengths = list(range(20, 120))
    on_processor, on_gpu = (batches(lengths, 4096, device) for device in ("cpu", "cuda"))
    assert max(len(batch) * lengths[batch[0]] for batch in on_processor) <= PROCESSOR_TOKENS
    assert len(on_gpu) < len(on_processor)
    assert max(len(batch) for batch in batches(lengths, 1, "cpu")) == 1


def test_padding_is_on_the_right_and_masked() -> None:
    special_tokens = SpecialTokens([], [], [], pad=9, segments=True, spaced=False)
    batch = collate([Encoded([1, 2, 3, 4], 2), Encoded([5, 6], 2)], special_tokens)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4], [5, 6, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]
    unsegmented = SpecialTokens([], [], [], pad=9, segments=False, spaced=False)
    assert "token_type_ids" not in collate([Encoded([1], 1)], unsegmented)


# --- pooling -----------------------------------------------------------------------------------


def test_means_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    lengths = [5, 1, 3]
    hidden = rng.normal(size=(4, 3, 5, 6)).astype(np.float32)  # layers, batch, tokens, width
    mask = np.asarray([[int(at < length) for at in range(5)] for length in lengths])
    hidden[:, mask == 0] = 1e6  # padding that must not be seen
    states = [torch.tensor(layer) for layer in hidden]

    means = sequence_means(states, torch.tensor(mask)).numpy()
    assert means.dtype == np.float32
    for row, length in enumerate(lengths):
        for layer in range(4):
            expected = sum(hidden[layer, row, at] for at in range(length)) / length
            np.testing.assert_allclose(means[row, layer], expected, rtol=1e-5, atol=1e-6)

    spans = [[(0, 2), (2, 5)], [(0, 1)], [(1, 2), (2, 3)]]
    words, ends = word_means(states, spans).numpy(), word_lasts(states, spans).numpy()
    assert words.shape == ends.shape == (5, 4, 6)
    flat = [(row, span) for row, each in enumerate(spans) for span in each]
    for index, (row, (_, end)) in enumerate(flat):
        np.testing.assert_array_equal(ends[index], hidden[:, row, end - 1])
    for index, (row, (start, end)) in enumerate(flat):
        for layer in range(4):
            expected = sum(hidden[layer, row, at] for at in range(start, end)) / (end - start)
            np.testing.assert_allclose(words[index, layer], expected, rtol=1e-5, atol=1e-6)


def test_means_of_half_precision_are_taken_in_float32() -> None:
    # 2048 + 1 is not a number of float16, and 4,096 times 30 is past its largest.
    states = torch.full((1, 4096, 1), 30.0, dtype=torch.float16)
    assert sequence_means([states], torch.ones(1, 4096)).item() == pytest.approx(30, rel=1e-5)
    assert word_means([states], [[(0, 4096)]]).item() == pytest.approx(30, rel=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("lengths", [[5, 1, 3], [1, 1], [2]])
def test_the_last_token_is_the_last_real_one_wherever_the_padding_stands(
    side: str, lengths: list[int]
) -> None:
    longest = 6  # of another batch: even the longest sequence is padded
    hidden = np.full((3, len(lengths), longest, 2), np.nan, np.float32)
    mask = np.zeros((len(lengths), longest), np.int64)
    for row, length in enumerate(lengths):
        start = longest - length if side == "left" else 0
        mask[row, start : start + length] = 1
        hidden[:, row, start : start + length] = np.arange(length)[:, None] + 10 * row
        hidden[1, row, start : start + length] += 0.5
    found = last_tokens([torch.tensor(layer) for layer in hidden], torch.tensor(mask)).numpy()
    assert found.dtype == np.float32
    for row, length in enumerate(lengths):
        expected = np.asarray([0, 0.5, 0]) + length - 1 + 10 * row
        np.testing.assert_array_equal(found[row], np.repeat(expected[:, None], 2, axis=1))


@pytest.mark.parametrize("side", ["left", "right"])
def test_last_tokens_of_a_padded_batch_are_those_of_calls_of_the_model_one_by_one(
    encoder: Tiny, decoder: Tiny, side: str
) -> None:
    for tiny in (encoder, decoder):
        tokenizer = copy.deepcopy(tiny.tokenizer)
        tokenizer.padding_side = side
        batch = tokenizer(RAGGED, padding=True, return_tensors="pt")
        mask = batch["attention_mask"]
        assert (mask[:, 0] == 0).any() == (side == "left")
        places = (mask.cumsum(dim=1) - 1).clamp(min=0)
        with torch.no_grad():
            output = tiny.model(**batch, position_ids=places, output_hidden_states=True)
            found = last_tokens(output.hidden_states, mask).numpy()
            for row, text in enumerate(RAGGED):
                one = tokenizer(text, return_tensors="pt")
                alone = tiny.model(**one, output_hidden_states=True).hidden_states
                expected = np.stack([layer[0, -1].numpy() for layer in alone])
                np.testing.assert_allclose(found[row], expected, **CLOSE)


# --- padding never enters ----------------------------------------------------------------------


def test_vectors_are_the_same_alone_and_in_a_padded_batch(tiny: Tiny) -> None:
    alone = sequence_vectors(tiny, texts(tiny), ONE)
    together = sequence_vectors(tiny, texts(tiny), ALL)
    assert alone.shape == (5, 3, 32)
    np.testing.assert_allclose(together, alone, **CLOSE)
    assert np.abs(alone[1] - alone[3]).max() > 0.1  # vectors tell texts apart
    alone = word_vectors(tiny, sentences(tiny), ONE)
    together = word_vectors(tiny, sentences(tiny), ALL)
    assert len(alone) == sum(len(text.split()) for text in RAGGED)
    np.testing.assert_allclose(together, alone, **CLOSE)


def test_vectors_follow_the_order_given(tiny: Tiny) -> None:
    forwards = sequence_vectors(tiny, texts(tiny), ALL)
    backwards = sequence_vectors(tiny, texts(tiny)[::-1], ALL)
    np.testing.assert_allclose(backwards[::-1], forwards, **CLOSE)


def test_the_embedding_of_padding_changes_nothing(tiny: Tiny) -> None:
    changed = copy.deepcopy(tiny.model)
    with torch.no_grad():
        changed.get_input_embeddings().weight[tiny.special_tokens.pad] = 50.0
    each: list[tuple[Any, list[Encoded], list[Any]]] = [
        (sequence_vectors, texts(tiny), [sequence_means, last_tokens]),
        (word_vectors, sentences(tiny), [word_means, word_lasts]),
    ]
    for vectors, sequences, pools in each:
        np.testing.assert_allclose(
            vectors(replace(tiny, model=changed), sequences, ALL, pools),
            vectors(tiny, sequences, ALL, pools),
            **CLOSE,
        )


@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_logits_are_the_same_alone_and_in_a_padded_batch(tiny: Tiny, kind: str) -> None:
    torch.manual_seed(5)
    model = load_with_head(tiny.folder, tiny.tokenizer, kind, ["x", "y", "z"])
    if kind == "nli":
        sequences, _ = encode_pairs(tiny.tokenizer, tiny.special_tokens, RAGGED, RAGGED[::-1], 64)
    else:
        sequences = sentences(tiny)

    def logits(budget: int) -> list[np.ndarray]:
        found = {}
        for indices, (_, output) in forward(
            model, sequences, tiny.special_tokens, budget, "float32", everything
        ):
            for index, row in zip(indices, output.logits.numpy(), strict=True):
                spans = sequences[index].words
                places = [labelled_position(span, tiny.architecture) for span in spans]
                found[index] = row if kind == "nli" else row[places]
        return [found[index] for index in range(len(sequences))]

    for one, many in zip(logits(1), logits(100_000), strict=True):
        assert np.abs(one).max() > 1e-3
        np.testing.assert_allclose(many, one, **CLOSE)


def test_a_decoder_classifies_by_the_last_sub_word_of_the_hypothesis(
    decoder: Tiny, biogpt: Tiny
) -> None:
    for tiny in (decoder, biogpt):
        torch.manual_seed(5)
        model = load_with_head(tiny.folder, tiny.tokenizer, "nli", ["x", "y", "z"])
        sequences, _ = encode_pairs(tiny.tokenizer, tiny.special_tokens, RAGGED, RAGGED[::-1], 64)
        for indices, (batch, output) in forward(
            model, sequences, tiny.special_tokens, 100_000, "float32", everything
        ):
            with torch.no_grad():
                hidden = model.base_model(**batch).last_hidden_state
                for row, index in enumerate(indices):
                    expected = model.score(hidden[row, len(sequences[index].ids) - 1])
                    np.testing.assert_allclose(output.logits[row], expected, **CLOSE)


def test_attention_measures_are_the_same_alone_and_in_a_padded_batch(tiny: Tiny) -> None:
    models = [copy.deepcopy(tiny.model) for _ in range(3)]
    torch.manual_seed(7)
    for model in models:
        model.set_attn_implementation("eager")
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    examples = [(f"e{index}", each) for index, each in enumerate(texts(tiny))]

    def measured(batch: int) -> dict[tuple[object, ...], float]:
        columns = compare_attention(examples, replace(tiny, model=models[0]), *models[1:], batch)
        keys = zip(
            *(columns[key] for key in ("example_id", "layer", "head", "measure")), strict=True
        )
        return dict(zip(keys, columns["value"], strict=True))

    alone, together = measured(1), measured(5)
    # The other sentence is the neighbour in the batch, so alone there is none.
    assert {key[3] for key in together} - {key[3] for key in alone} == {
        "cosine_null_sentence",
        "jsd_null_sentence",
    }
    for key, value in alone.items():
        assert together[key] == pytest.approx(value, rel=1e-3, abs=1e-5), key
