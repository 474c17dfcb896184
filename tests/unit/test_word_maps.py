"""Word maps of the four published models' tokenizers, on words that are hard for them."""

from __future__ import annotations

import html

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_models import Tiny
from transformers import GPT2Tokenizer
from vocabularies import LINES

from layerscope.config.extraction import Activations
from layerscope.extraction.activations import word_vectors
from layerscope.models.inputs import (
    Encoded,
    encode_text,
    encode_words,
    tokenise_words,
)
from layerscope.models.load import load_model, position_limit
from layerscope.models.tokenizers import load_tokenizer

HARD = [
    "IL-2",
    "NF-kappaB",
    "5'-UTR",
    "<",
    "&",
    "&amp;",
    "&lt;",
    "|",
    "@-@",
    "``",
    "''",
    '"',
    "'s",
    "i.v.",
    "1,000",
    "...",
    "(see",
    "t" * 40,
    "ACGT" * 10,
    "https://example.org/a?b=c&d",
    "α-tocopherol",
    "αβγ",  # letters that the vocabularies of BERT's and BioGPT's replicas lack
    "😀",
    "👩\u200d🔬",
    "e\u0301",
    "\u0301",  # a combining accent alone
    "\u200b",  # a space of no width
    "\ufeff",
    "\x07",
    "\ufffd",
    "蛋白",
]
SPELLED = ["[SEP]", "[MASK]", "[UNK]", "[PAD]", "<|endoftext|>", "</s>", "<pad>", "<s>", "a</s>b"]
# A word has no white space in it: it would be two.
LETTERS = st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"])
ASCII = st.characters(min_codepoint=ord("!"), max_codepoint=ord("~"))
PLAIN = sorted({word for line in LINES for word in line.split()})
WORD = st.one_of(
    st.sampled_from([*HARD, *SPELLED]),
    st.sampled_from(PLAIN),
    st.text(LETTERS, min_size=1, max_size=12),
    st.text(ASCII, min_size=1, max_size=12),
)
SENTENCE = st.lists(WORD, min_size=1, max_size=40)
PROPERTY = settings(max_examples=50, deadline=None)


def encoded(tiny: Tiny, words: list[str], limit: int = 100_000) -> list[Encoded]:
    pieces = tokenise_words(tiny.tokenizer, tiny.special_tokens, words)
    return encode_words(pieces, tiny.special_tokens, words, limit)


def spans(tiny: Tiny, words: list[str]) -> list[list[int]]:
    """Sub-words of each word of a sentence that is encoded whole."""
    (whole,) = encoded(tiny, words)
    return [whole.ids[start:end] for start, end in whole.words]


# --- what AutoTokenizer gives -------------------------------------------------------------------


def test_each_folder_gives_its_own_kind_of_tokenizer(published: dict[str, Tiny]) -> None:
    def kind(name: str) -> tuple[str, bool]:
        return type(published[name].tokenizer).__name__, published[name].tokenizer.is_fast

    assert kind("bert") == kind("biobert") == ("BertTokenizer", True)
    assert kind("gpt2") == ("GPT2Tokenizer", True)
    assert kind("biogpt") == ("BioGptTokenizer", False)


def test_cased_vocabularies_stay_cased(published: dict[str, Tiny]) -> None:
    for name in ("bert", "biobert"):
        tokenizer = published[name].tokenizer
        words = tokenise_words(tokenizer, published[name].special_tokens, ["IL", "é"])
        assert tokenizer.convert_ids_to_tokens(words["IL"]) == ["IL"]
        assert words["é"] == [tokenizer.unk_token_id]  # and accents are not stripped


def test_frames_are_those_of_the_four_tokenizers(published: dict[str, Tiny]) -> None:
    def framed(name: str) -> tuple[list[str], list[str], list[str], str]:
        special_tokens, to_tokens = (
            published[name].special_tokens,
            published[name].tokenizer.convert_ids_to_tokens,
        )
        return (
            *(
                to_tokens(part)
                for part in (special_tokens.before, special_tokens.between, special_tokens.after)
            ),
            to_tokens(special_tokens.pad),
        )

    assert framed("bert") == framed("biobert") == (["[CLS]"], ["[SEP]"], ["[SEP]"], "[PAD]")
    assert framed("gpt2") == ([], ["<|endoftext|>"], [], "<|endoftext|>")
    assert framed("biogpt") == (["</s>"], ["</s>"], [], "<pad>")
    assert published["biogpt"].special_tokens.before == [2]
    assert [published[name].special_tokens.spaced for name in published] == [
        False,
        False,
        True,
        False,
    ]
    assert [published[name].special_tokens.segments for name in published] == [
        True,
        True,
        False,
        False,
    ]


def test_a_text_is_framed_as_its_tokenizer_does(replica: Tiny) -> None:
    texts, cut = encode_text(replica.tokenizer, replica.special_tokens, LINES, 512)
    assert [text.ids for text in texts] == [replica.tokenizer(line)["input_ids"] for line in LINES]
    assert cut == 0


# --- every word has its span --------------------------------------------------------------------


@given(words=SENTENCE)
@example(words=[*HARD, *SPELLED])
@PROPERTY
def test_every_word_has_a_span_in_order_and_nothing_is_left(
    replica: Tiny, words: list[str]
) -> None:
    (whole,) = encoded(replica, words)
    assert len(whole.words) == len(words)
    inside = [at for start, end in whole.words for at in range(start, end)]
    assert all(end > start for start, end in whole.words)
    assert inside == [at for at in range(len(whole.ids)) if at not in whole.special]
    outside = [whole.ids[at] for at in whole.special]
    assert outside == replica.special_tokens.before + replica.special_tokens.after


@given(words=SENTENCE)
@example(words=[*HARD, *SPELLED])
@PROPERTY
def test_a_word_is_the_same_wherever_it_stands(replica: Tiny, words: list[str]) -> None:
    for word, found in zip(words, spans(replica, words), strict=True):
        assert found == spans(replica, [word])[0]


@given(words=SENTENCE)
@example(words=[*HARD, *SPELLED])
@PROPERTY
def test_no_word_becomes_a_special_token(replica: Tiny, words: list[str]) -> None:
    tokenizer = replica.tokenizer
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    special |= {replica.special_tokens.pad}
    assert not special & {number for found in spans(replica, words) for number in found}


@given(words=SENTENCE, limit=st.integers(min_value=16, max_value=60))
@example(words=[*HARD, *SPELLED], limit=20)
@PROPERTY
def test_windows_join_up(replica: Tiny, words: list[str], limit: int) -> None:
    room = limit - len(replica.special_tokens.before) - len(replica.special_tokens.after)
    joined = []
    for window in encoded(replica, words, limit):
        assert len(window.ids) <= limit
        joined += [window.ids[start:end] for start, end in window.words]
    assert joined == [found[:room] for found in spans(replica, words)]


# --- held to the tokenizers themselves ----------------------------------------------------------


@given(words=SENTENCE)
@example(words=[*HARD, *SPELLED])
@PROPERTY
def test_bert_and_its_own_word_map_agree(published: dict[str, Tiny], words: list[str]) -> None:
    for name in ("bert", "biobert"):
        tokenizer = published[name].tokenizer
        own = tokenizer(words, is_split_into_words=True, split_special_tokens=True)
        expected: list[list[int]] = [[] for _ in words]
        for number, index in zip(own["input_ids"], own.word_ids(), strict=True):
            if index is not None:
                expected[index].append(number)
        unknown = [tokenizer.unk_token_id]
        assert spans(published[name], words) == [found or unknown for found in expected]


@given(words=SENTENCE)
@example(words=[*HARD, *SPELLED])
@PROPERTY
def test_bert_reads_the_words_as_in_running_text(
    published: dict[str, Tiny], words: list[str]
) -> None:
    tokenizer = published["bert"].tokenizer
    options = {"add_special_tokens": False, "split_special_tokens": True}
    there = [word for word in words if tokenizer(word, **options)["input_ids"]]
    running = tokenizer(" ".join(there), **options)["input_ids"]
    apart = [spans(published["bert"], [word])[0] for word in there]
    assert running == [number for found in apart for number in found]


@given(words=SENTENCE)
@example(words=[*HARD, *SPELLED])
@PROPERTY
def test_gpt2_and_its_own_word_map_agree(published: dict[str, Tiny], words: list[str]) -> None:
    spaced = GPT2Tokenizer.from_pretrained(published["gpt2"].folder, add_prefix_space=True)
    own = spaced(words, is_split_into_words=True, split_special_tokens=True)
    expected: list[list[int]] = [[] for _ in words]
    for number, index in zip(own["input_ids"], own.word_ids(), strict=True):
        expected[index].append(number)
    found = spans(published["gpt2"], words)
    assert found == expected
    running = published["gpt2"].tokenizer(" " + " ".join(words), split_special_tokens=True)
    assert running["input_ids"] == [number for each in found for number in each]
    for word, each in zip(words, found, strict=True):
        assert published["gpt2"].tokenizer.decode(each) == f" {word}"


def moses_tokens(tiny: Tiny, numbers: list[int]) -> list[str]:
    """What Moses made of a text, from its sub-words."""
    joined = "".join(tiny.tokenizer.convert_ids_to_tokens(numbers))
    return joined.split("</w>")[:-1]


@given(word=st.text(ASCII, min_size=1, max_size=20))
@PROPERTY
def test_biogpt_words_can_be_read_back(published: dict[str, Tiny], word: str) -> None:
    (numbers,) = spans(published["biogpt"], [word])
    tokens = moses_tokens(published["biogpt"], numbers)
    assert "".join("-" if each == "@-@" else html.unescape(each) for each in tokens) == word


@pytest.mark.parametrize(
    ("word", "tokens"),
    [
        ("IL-2", ["IL", "@-@", "2"]),
        ("NF-kappaB", ["NF", "@-@", "kappaB"]),
        ("<", ["&lt;"]),
        ("&", ["&amp;"]),
        ("&amp;", ["&amp;", "amp", ";"]),
        ("|", ["&#124;"]),
        ("@-@", ["@", "-", "@"]),
        ("'s", ["&apos;s"]),
        ("</s>", ["&lt;", "/", "s", "&gt;"]),
        ("t" * 40, ["t" * 40]),
    ],
)
def test_biogpt_reads_a_word_as_moses_splits_and_escapes_it(
    published: dict[str, Tiny], word: str, tokens: list[str]
) -> None:
    assert moses_tokens(published["biogpt"], spans(published["biogpt"], [word])[0]) == tokens


def test_biogpt_keeps_unknown_letters_in_their_places(published: dict[str, Tiny]) -> None:
    tokenizer = published["biogpt"].tokenizer
    found = tokenise_words(
        tokenizer, published["biogpt"].special_tokens, ["α-tocopherol", "αβγ", "\u200b"]
    )
    unknown = tokenizer.unk_token_id
    assert found["α-tocopherol"][0] == unknown
    assert unknown not in found["α-tocopherol"][1:]
    assert found["αβγ"] == [unknown] * 3
    assert found["\u200b"] == [unknown]


def test_biogpt_reads_words_as_in_running_text_but_for_apostrophes_and_full_stops(
    published: dict[str, Tiny],
) -> None:
    def running(text: str) -> list[int]:
        return list(published["biogpt"].tokenizer(text, add_special_tokens=False)["input_ids"])

    def apart(words: list[str]) -> list[int]:
        return [number for found in spans(published["biogpt"], words) for number in found]

    text = "The IL-2 gene , NF-kappa B ( p < 0.05 ) & U.S.A. levels of T-cells / [ Jak3 ] ."
    assert apart(text.split()) == running(text)
    assert apart(["patient", "'s"]) == running("patient's") != running("patient 's")
    assert apart(["5", "min.", "after"]) != running("5 min. after")


# --- every word has its vector ------------------------------------------------------------------


def test_every_hard_word_has_the_mean_of_its_own_sub_words(replica: Tiny) -> None:
    words = [*HARD, *SPELLED]
    windows = encoded(replica, words, 48)
    assert len(windows) > 3
    settings = Activations(batch_tokens=200, dtype="float32")
    vectors = word_vectors(replica, windows, settings)
    assert len(vectors) == len(words)
    at = 0
    for window in windows:
        with torch.inference_mode():
            states = replica.model(
                input_ids=torch.tensor([window.ids]), output_hidden_states=True
            ).hidden_states
        for start, end in window.words:
            expected = np.stack([state[0, start:end].mean(dim=0).numpy() for state in states])
            np.testing.assert_allclose(vectors[at], expected, rtol=1e-4, atol=2e-5)
            at += 1


def test_the_longest_window_fits_the_model(replica: Tiny) -> None:
    limit = position_limit(replica.model, 8192)
    assert limit == {"encoder": 512, "decoder": 1024}[replica.architecture]
    windows = encoded(replica, ["acute"] * 3 * limit, limit)
    longest = max(len(window.ids) for window in windows)
    assert limit - 10 < longest <= limit
    with torch.inference_mode():
        replica.model(input_ids=torch.ones(1, limit, dtype=torch.int64))


# --- layers -------------------------------------------------------------------------------------


def test_states_are_embeddings_layers_and_the_final_norm_of_decoders(
    published: dict[str, Tiny],
) -> None:
    shape = {  # layers, and the norm after the last one
        "bert": ("encoder.layer", 2, None),
        "biobert": ("encoder.layer", 2, None),
        "gpt2": ("h", 3, "ln_f"),
        "biogpt": ("layers", 2, "layer_norm"),
    }
    for name, tiny in published.items():
        model = tiny.model
        stack, count, norm = shape[name]
        seen: list[torch.Tensor] = []

        def keep(_: object, __: object, output: object, seen: list[torch.Tensor] = seen) -> None:
            seen.append(output[0] if isinstance(output, tuple) else output)  # type: ignore[arg-type]

        hooks = [layer.register_forward_hook(keep) for layer in model.get_submodule(stack)]
        with torch.inference_mode():
            output = model(input_ids=torch.tensor([[5, 20, 30]]), output_hidden_states=True)
            for hook in hooks:
                hook.remove()
            states = output.hidden_states
            assert len(states) == count + 1
            for state, made in zip(states[1:-1], seen[:-1], strict=True):
                torch.testing.assert_close(state, made)
            last = seen[-1] if norm is None else model.get_submodule(norm)(seen[-1])
            torch.testing.assert_close(states[-1], last)
            torch.testing.assert_close(states[-1], output.last_hidden_state)
            if norm is not None:
                assert not torch.allclose(states[-1], seen[-1], atol=0.1)


def test_biogpt_scales_its_embeddings(published: dict[str, Tiny]) -> None:
    model = published["biogpt"].model
    numbers = torch.tensor([[2, 20, 30]])
    with torch.inference_mode():
        first = model(input_ids=numbers, output_hidden_states=True).hidden_states[0]
        words = model.embed_tokens.weight[numbers] * 32**0.5
        places = model.embed_positions.weight[2:5]  # the first two rows are of no use
    torch.testing.assert_close(first, words + places)


def test_a_saved_tokenizer_reads_as_before(
    replica: Tiny, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("saved")
    replica.tokenizer.save_pretrained(folder)
    replica.model.save_pretrained(folder)
    again = load_tokenizer(folder)
    words = [*HARD, *SPELLED, *PLAIN]
    assert type(again) is type(replica.tokenizer)
    assert again.pad_token_id == replica.special_tokens.pad
    assert tokenise_words(again, replica.special_tokens, words) == tokenise_words(
        replica.tokenizer, replica.special_tokens, words
    )
    assert load_model(folder, again).config.pad_token_id == replica.special_tokens.pad
