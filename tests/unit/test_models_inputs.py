"""Inputs: the word map, windows and pairs, held to what each tokenizer itself gives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import POSITIONS, TEXTS, Tiny

from layerscope.core.errors import UserError
from layerscope.models.inputs import (
    cut_words,
    encode_pairs,
    encode_text,
    encode_words,
    labelled_position,
    read_special_tokens,
    tokenise_words,
    windows,
)

HARD = ["IL-2", "NF-kappaB", "<", "&", "α-tocopherol", "😀", "t" * 40, "(", "5'-UTR", "a.b", "é"]
VANISHING = ["\x00", "\u200b", "\x07\x07"]  # nothing is left of them in BERT's normalisation
# Lone surrogates are no text: neither UTF-8 nor a tokenizer takes them.
LETTERS = st.one_of(
    st.sampled_from(sorted({*"".join(TEXTS)})), st.characters(exclude_categories=["Cs"])
)
WORDS = st.lists(st.text(LETTERS, min_size=1, max_size=12), min_size=1, max_size=30)


def ids_of(tiny: Tiny, text: str) -> list[int]:
    return list(tiny.tokenizer(text, add_special_tokens=False)["input_ids"])


# --- frames ------------------------------------------------------------------------------------


def test_frames_are_what_the_tokenizers_put_there(
    encoder: Tiny, decoder: Tiny, biogpt: Tiny
) -> None:
    def tokens(tiny: Tiny) -> list[list[str]]:
        parts = (tiny.special_tokens.before, tiny.special_tokens.between, tiny.special_tokens.after)
        return [tiny.tokenizer.convert_ids_to_tokens(part) for part in parts]

    assert tokens(encoder) == [["[CLS]"], ["[SEP]"], ["[SEP]"]]
    assert tokens(decoder) == [[], ["<|endoftext|>"], []]
    assert tokens(biogpt) == [["</s>"], ["</s>"], []]
    assert [tiny.special_tokens.spaced for tiny in (encoder, decoder, biogpt)] == [
        False,
        True,
        False,
    ]
    assert [tiny.special_tokens.segments for tiny in (encoder, decoder, biogpt)] == [
        True,
        False,
        False,
    ]
    for tiny in (encoder, decoder, biogpt):
        assert tiny.special_tokens.pad == tiny.tokenizer.pad_token_id


def test_a_decoder_without_any_separator_is_refused(decoder: Tiny) -> None:
    class Bare:
        sep_token_id = None
        eos_token_id = None

        def __call__(self, *texts: str, **options: object) -> object:
            return decoder.tokenizer(*texts, **options)

    with pytest.raises(UserError, match="neither a separator nor an end-of-text"):
        read_special_tokens(Bare(), "decoder")  # type: ignore[arg-type]


def test_single_texts_are_framed_as_the_tokenizer_does(tiny: Tiny) -> None:
    encoded, cut = encode_text(tiny.tokenizer, tiny.special_tokens, TEXTS, POSITIONS)
    assert cut == 0
    for text, sequence in zip(TEXTS, encoded, strict=True):
        assert sequence.ids == tiny.tokenizer(text)["input_ids"]
        assert sequence.second == len(sequence.ids)


def test_single_texts_are_cut_at_the_end_and_counted(tiny: Tiny) -> None:
    lengths = [len(tiny.tokenizer(text)["input_ids"]) for text in TEXTS]
    limit = sorted(lengths)[3]
    encoded, cut = encode_text(tiny.tokenizer, tiny.special_tokens, TEXTS, limit)
    assert cut == sum(length > limit for length in lengths) > 0
    for text, sequence in zip(TEXTS, encoded, strict=True):
        own = tiny.tokenizer(text, truncation=True, max_length=limit)["input_ids"]
        assert sequence.ids == own


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [HARD, *(text.split() for text in TEXTS)])
def test_words_of_an_encoder_are_those_of_its_own_word_map(encoder: Tiny, words: list[str]) -> None:
    own = encoder.tokenizer(words, is_split_into_words=True)
    pieces = tokenise_words(encoder.tokenizer, encoder.special_tokens, words)
    (sequence,) = encode_words(pieces, encoder.special_tokens, words, 512)
    assert sequence.ids == own["input_ids"]
    expected: list[int | None] = [None] * len(sequence.ids)
    for index, (start, end) in enumerate(sequence.words):
        expected[start:end] = [index] * (end - start)
    assert own.word_ids() == expected


@given(words=WORDS)
@settings(max_examples=60, deadline=None)
def test_any_words_of_an_encoder_are_those_of_its_own_word_map(
    encoder: Tiny, words: list[str]
) -> None:
    own = encoder.tokenizer(words, is_split_into_words=True)
    there = {index for index in own.word_ids() if index is not None}
    pieces = tokenise_words(encoder.tokenizer, encoder.special_tokens, words)
    (sequence,) = encode_words(pieces, encoder.special_tokens, words, 10_000)
    for index, (start, end) in enumerate(sequence.words):
        found = [
            i for i, word in zip(own["input_ids"], own.word_ids(), strict=True) if word == index
        ]
        unknown = [encoder.tokenizer.unk_token_id]
        assert sequence.ids[start:end] == (found if index in there else unknown)


@given(words=WORDS)
@settings(max_examples=60, deadline=None)
def test_any_words_of_a_decoder_can_be_read_back_from_their_sub_words(
    decoder: Tiny, words: list[str]
) -> None:
    pieces = tokenise_words(decoder.tokenizer, decoder.special_tokens, words)
    (sequence,) = encode_words(pieces, decoder.special_tokens, words, 10_000)
    for word, (start, end) in zip(words, sequence.words, strict=True):
        assert decoder.tokenizer.decode(sequence.ids[start:end]) == f" {word}"


@given(words=st.lists(st.sampled_from([*HARD, *VANISHING, "the", "skin"]), max_size=40))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("limit", [20, 60])
def test_windows_hold_every_word_once_and_nothing_else(
    encoder: Tiny, decoder: Tiny, biogpt: Tiny, words: list[str], limit: int
) -> None:
    for tiny in (encoder, decoder, biogpt):
        special_tokens = tiny.special_tokens
        pieces = tokenise_words(tiny.tokenizer, special_tokens, words)
        room = limit - len(special_tokens.before) - len(special_tokens.after)
        sequences = encode_words(pieces, special_tokens, words, limit)
        read = []
        for sequence in sequences:
            assert len(sequence.ids) <= limit
            assert sequence.words
            at = len(special_tokens.before)
            assert sequence.ids[:at] == special_tokens.before
            for start, end in sequence.words:
                assert start == at
                assert end > start
                read.append(sequence.ids[start:end])
                at = end
            assert sequence.ids[at:] == special_tokens.after
            assert list(sequence.special) == [
                *range(len(special_tokens.before)),
                *range(at, len(sequence.ids)),
            ]
        assert read == [pieces[word][:room] for word in words]
        assert cut_words(pieces, special_tokens, words, limit) == sum(
            len(pieces[word]) > room for word in words
        )


@pytest.mark.parametrize("word", VANISHING)
def test_a_word_that_vanishes_is_unknown(encoder: Tiny, biogpt: Tiny, word: str) -> None:
    for tiny in (encoder, biogpt):
        assert ids_of(tiny, word) == []
        assert tokenise_words(tiny.tokenizer, tiny.special_tokens, ["skin", word])[word] == [
            tiny.tokenizer.unk_token_id
        ]


def test_a_first_word_of_a_decoder_is_the_word_that_it_is_elsewhere(decoder: Tiny) -> None:
    pieces = tokenise_words(decoder.tokenizer, decoder.special_tokens, ["fever", "fever"])
    (sequence,) = encode_words(pieces, decoder.special_tokens, ["fever", "fever"], 64)
    (a, b), (c, d) = sequence.words
    assert sequence.ids[a:b] == sequence.ids[c:d] == ids_of(decoder, " fever")


def test_no_words_give_no_windows(tiny: Tiny) -> None:
    assert tokenise_words(tiny.tokenizer, tiny.special_tokens, []) == {}
    assert encode_words({}, tiny.special_tokens, [], 64) == []


def test_a_word_longer_than_a_window_is_cut_alone_and_counted(tiny: Tiny) -> None:
    words = ["the", "t" * 90, "skin"]
    limit = 24
    pieces = tokenise_words(tiny.tokenizer, tiny.special_tokens, words)
    sequences = encode_words(pieces, tiny.special_tokens, words, limit)
    assert [len(sequence.words) for sequence in sequences] == [1, 1, 1]
    assert len(sequences[1].ids) == limit
    assert cut_words(pieces, tiny.special_tokens, words, limit) == 1


@given(
    lengths=st.lists(st.integers(min_value=1, max_value=9), max_size=40),
    room=st.integers(min_value=1, max_value=12),
)
def test_windows_join_up_and_none_could_take_the_next_word(lengths: list[int], room: int) -> None:
    spans = windows(lengths, room)
    assert [index for start, end in spans for index in range(start, end)] == list(
        range(len(lengths))
    )
    for start, end in spans:
        assert end > start
        assert sum(lengths[start:end]) <= room or end - start == 1
        if end < len(lengths):
            assert sum(lengths[start : end + 1]) > room


def test_the_label_stands_on_the_first_sub_word_of_an_encoder_and_the_last_of_a_decoder() -> None:
    assert labelled_position((3, 7), "encoder") == 3
    assert labelled_position((3, 7), "decoder") == 6


# --- pairs -------------------------------------------------------------------------------------

PAIRS = [(a, b) for a in TEXTS[:4] for b in TEXTS[2:5]]


def test_pairs_of_an_encoder_are_those_of_its_tokenizer(encoder: Tiny) -> None:
    first, second = zip(*PAIRS, strict=True)
    encoded, cut = encode_pairs(encoder.tokenizer, encoder.special_tokens, first, second, POSITIONS)
    assert cut == 0
    own = encoder.tokenizer(list(first), list(second), return_special_tokens_mask=True)
    for index, sequence in enumerate(encoded):
        assert sequence.ids == own["input_ids"][index]
        types = [int(at >= sequence.second) for at in range(len(sequence.ids))]
        assert types == own["token_type_ids"][index]
        specials = [int(at in sequence.special) for at in range(len(sequence.ids))]
        assert specials == own["special_tokens_mask"][index]


@pytest.mark.parametrize("limit", range(10, 30))
def test_pairs_of_an_encoder_are_cut_where_its_tokenizer_cuts(encoder: Tiny, limit: int) -> None:
    first, second = zip(*PAIRS, strict=True)
    encoded, cut = encode_pairs(encoder.tokenizer, encoder.special_tokens, first, second, limit)
    whole = encoder.tokenizer(list(first), list(second))["input_ids"]
    own = encoder.tokenizer(list(first), list(second), truncation="longest_first", max_length=limit)
    assert cut == sum(len(ids) > limit for ids in whole)
    for index, sequence in enumerate(encoded):
        assert len(sequence.ids) == len(own["input_ids"][index])
        # Of two texts cut to an odd room, the tokenizer gives the odd sub-word to the longer one.
        assert abs(len(sequence.ids) - sequence.second - sum(own["token_type_ids"][index])) <= (
            (limit - 3) % 2
        )


def test_pairs_of_a_decoder_have_a_separator_between_and_end_with_the_hypothesis(
    decoder: Tiny, biogpt: Tiny
) -> None:
    for tiny in (decoder, biogpt):
        first, second = zip(*PAIRS, strict=True)
        encoded, cut = encode_pairs(tiny.tokenizer, tiny.special_tokens, first, second, 200)
        assert cut == 0
        for (one, two), sequence in zip(PAIRS, encoded, strict=True):
            a, b = ids_of(tiny, one), ids_of(tiny, two)
            begin = [tiny.tokenizer.eos_token_id] if tiny is biogpt else []
            assert sequence.ids == [*begin, *a, tiny.tokenizer.eos_token_id, *b]
            assert sequence.second == len(begin) + len(a) + 1
            assert list(sequence.special) == [*range(len(begin)), sequence.second - 1]
            assert sequence.ids[-1] == b[-1]


@given(
    first=st.lists(st.sampled_from(["fever", "skin", "IL-2"]), min_size=1, max_size=30),
    second=st.lists(st.sampled_from(["pain", "heart"]), min_size=1, max_size=30),
    limit=st.integers(min_value=8, max_value=60),
)
@settings(max_examples=60, deadline=None)
def test_a_pair_that_is_cut_fills_its_room_and_keeps_both_beginnings(
    decoder: Tiny, first: list[str], second: list[str], limit: int
) -> None:
    a, b = ids_of(decoder, " ".join(first)), ids_of(decoder, " ".join(second))
    (sequence,), cut = encode_pairs(
        decoder.tokenizer, decoder.special_tokens, [" ".join(first)], [" ".join(second)], limit
    )
    assert cut == (len(a) + len(b) + 1 > limit)
    assert len(sequence.ids) == min(limit, len(a) + len(b) + 1)
    left, right = sequence.ids[: sequence.second - 1], sequence.ids[sequence.second :]
    assert left == a[: len(left)]
    assert right == b[: len(right)]
    if len(left) < len(a):  # only the longer one loses
        assert len(left) >= len(right) - 1
    if len(right) < len(b):
        assert len(right) >= len(left) - 1
