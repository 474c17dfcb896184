"""Files of activations against direct calls of the model, one example at a time."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tiny_models import TEXTS, Tiny, ner_table, nli_table, text_table

from layerscope.config.extraction import Activations, EveryLayer, View
from layerscope.core.errors import UserError
from layerscope.core.formats import activation_metadata, read_keys, read_layer, stored_layers
from layerscope.extraction import activations
from layerscope.extraction.activations import write_activations, write_all_activations
from layerscope.extraction.once import Once, texts_of
from layerscope.models.load import random_model

EXACT = Activations(dtype="float32", batch_tokens=4096, max_length=64)
CLOSE = {"rtol": 1e-4, "atol": 2e-5}
PAIRS = nli_table(
    [
        (TEXTS[index % 7], " ".join(TEXTS[(index + 3) % 7].split()[: index % 5 + 1]), label)
        for index, label in enumerate(["entailment", "neutral", "contradiction"] * 4)
    ]
)
SENTENCES = ner_table(
    [
        ([*TEXTS[index % 7].split()[index % 3 :], "abnormalities"], tags)
        for index in range(10)
        for tags in [["O"] * (len(TEXTS[index % 7].split()[index % 3 :])) + ["B-drug"]]
    ]
)


def write(
    tiny: Tiny, table: pa.Table, view: View, path: Path, settings: Activations = EXACT, **other: Any
) -> np.ndarray:
    """Write a file and give all its layers: rows x layers x width."""
    write_activations(replace(tiny, **other), table, {view: path}, settings, {"task": "t"})
    count = activation_metadata(path)["layers"]
    return np.stack([read_layer(path, layer) for layer in range(count)], axis=1)


def states(tiny: Tiny, ids: list[int], types: list[int] | None = None) -> list[np.ndarray]:
    """Embeddings, blocks and the last hidden state by a call without padding: tokens x width."""
    options = {} if types is None else {"token_type_ids": torch.tensor([types])}
    with torch.no_grad():
        output = tiny.model(input_ids=torch.tensor([ids]), output_hidden_states=True, **options)
    found = [state[0].numpy() for state in output.hidden_states]
    np.testing.assert_array_equal(found[-1], output.last_hidden_state[0].numpy())
    return found


def embeddings(tiny: Tiny, ids: list[int]) -> np.ndarray:
    """What enters the first block, from the weights."""
    model, at = tiny.model, torch.tensor([ids])
    with torch.no_grad():
        if tiny.architecture == "encoder":
            return model.embeddings(at)[0].numpy()
        if model.config.model_type == "gpt2":
            return (model.wte(at) + model.wpe(torch.arange(len(ids))))[0].numpy()
        scaled = model.embed_tokens.weight[at] * 32**0.5  # BioGPT scales, and skips two positions
        return (scaled + model.embed_positions.weight[torch.arange(len(ids)) + 2])[0].numpy()


def framed(tiny: Tiny, text: str) -> list[int]:
    return list(tiny.tokenizer(text)["input_ids"])


# --- pairs -------------------------------------------------------------------------------------


def test_separate_is_the_mean_of_the_premise_and_that_of_the_hypothesis(
    tiny: Tiny, tmp_path: Path
) -> None:
    vectors = write(tiny, PAIRS, "separate", tmp_path / "a.parquet")
    assert vectors.shape == (12, 3, 64)  # embeddings and two blocks
    for row, example in enumerate(PAIRS.to_pylist()):
        halves = [states(tiny, framed(tiny, example[text])) for text in ("premise", "hypothesis")]
        for layer in range(3):
            expected = np.concatenate([half[layer].mean(axis=0) for half in halves])
            np.testing.assert_allclose(vectors[row, layer], expected, **CLOSE)
        expected = [
            embeddings(tiny, framed(tiny, example[text])).mean(axis=0)
            for text in ("premise", "hypothesis")
        ]
        np.testing.assert_allclose(vectors[row, 0], np.concatenate(expected), **CLOSE)


def test_joint_is_the_mean_of_the_pair(encoder: Tiny, decoder: Tiny, tmp_path: Path) -> None:
    for tiny in (encoder, decoder):
        vectors = write(tiny, PAIRS, "joint", tmp_path / f"{tiny.architecture}.parquet")
        assert vectors.shape == (12, 3, 32)
        for row, example in enumerate(PAIRS.to_pylist()):
            premise, hypothesis = example["premise"], example["hypothesis"]
            if tiny is encoder:
                own = tiny.tokenizer(premise, hypothesis)
                hidden = states(tiny, own["input_ids"], own["token_type_ids"])
            else:
                end = tiny.tokenizer.eos_token_id
                hidden = states(tiny, [*framed(tiny, premise), end, *framed(tiny, hypothesis)])
            for layer in range(3):
                np.testing.assert_allclose(vectors[row, layer], hidden[layer].mean(axis=0), **CLOSE)


def test_text_is_the_mean_of_the_text_and_text_last_its_end(tiny: Tiny, tmp_path: Path) -> None:
    table = text_table(
        list(zip(PAIRS["premise"].to_pylist(), PAIRS["label"].to_pylist(), strict=True))
    )
    mean = write(tiny, table, "text", tmp_path / "a.parquet")
    last = write(tiny, table, "text-last", tmp_path / "b.parquet")
    assert mean.shape == last.shape == (12, 3, 32)
    for row, text in enumerate(table["text"].to_pylist()):
        hidden = states(tiny, framed(tiny, text))
        for layer in range(3):
            np.testing.assert_allclose(mean[row, layer], hidden[layer].mean(axis=0), **CLOSE)
            np.testing.assert_allclose(last[row, layer], hidden[layer][-1], **CLOSE)
    assert read_keys(tmp_path / "a.parquet")["label"] == table["label"].to_pylist()


def test_last_views_are_of_the_last_position_of_each_input(tiny: Tiny, tmp_path: Path) -> None:
    apart = write(tiny, PAIRS, "separate-last", tmp_path / "a.parquet")
    together = write(tiny, PAIRS, "joint-last", tmp_path / "b.parquet")
    assert (apart.shape, together.shape) == ((12, 3, 64), (12, 3, 32))
    for row, example in enumerate(PAIRS.to_pylist()):
        premise, hypothesis = example["premise"], example["hypothesis"]
        halves = [states(tiny, framed(tiny, text)) for text in (premise, hypothesis)]
        if tiny.architecture == "encoder":
            own = tiny.tokenizer(premise, hypothesis)
            hidden = states(tiny, own["input_ids"], own["token_type_ids"])
        else:
            text = tiny.tokenizer(hypothesis, add_special_tokens=False)["input_ids"]
            hidden = states(tiny, [*framed(tiny, premise), *tiny.special_tokens.between, *text])
        for layer in range(3):
            expected = np.concatenate([half[layer][-1] for half in halves])
            np.testing.assert_allclose(apart[row, layer], expected, **CLOSE)
            np.testing.assert_allclose(together[row, layer], hidden[layer][-1], **CLOSE)
    assert "last real sub-word" in activation_metadata(tmp_path / "b.parquet")["pooling"]


@pytest.mark.parametrize("how", ["separate", "joint", "word"])
def test_mean_and_last_come_from_one_pass_and_are_the_same_bytes_as_apart(
    decoder: Tiny, how: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = SENTENCES if how == "word" else PAIRS
    views: list[View] = [how, f"{how}-last"]  # type: ignore[list-item]
    for view in views:
        write(decoder, table, view, tmp_path / f"{view}-alone")
    passes: list[int] = []
    real = activations.forward

    def counted(model: Any, sequences: Any, *others: Any, **options: Any) -> Any:
        passes.append(len(sequences))
        return real(model, sequences, *others, **options)

    monkeypatch.setattr(activations, "forward", counted)
    paths = {view: tmp_path / view for view in views}
    write_activations(decoder, table, paths, EXACT, {"task": "t"})
    texts = set(texts_of(table, how))
    assert passes == [len(texts)]
    for view in views:
        assert paths[view].read_bytes() == (tmp_path / f"{view}-alone").read_bytes()


def test_keys_of_pairs_follow_the_table(encoder: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(encoder, PAIRS, "joint", path)
    keys = read_keys(path)
    for name in ("example_id", "group_id", "label"):
        assert keys[name] == PAIRS[name].to_pylist()
    assert keys["word_index"] == [0] * 12
    described = activation_metadata(path)
    assert (described["view"], described["task"]) == ("joint", "t")
    assert (described["layers"], described["width"], described["dtype"]) == (3, 32, "float32")


def test_chosen_layers_are_those_of_all(encoder: Tiny, tmp_path: Path) -> None:
    whole = write(encoder, PAIRS, "joint", tmp_path / "a.parquet")
    for layers, stored in (([2, 0], [0, 2]), (EveryLayer(every=2), [0, 2]), ([1], [1])):
        path = tmp_path / "b.parquet"
        settings = EXACT.model_copy(update={"layers": layers})
        write_activations(encoder, PAIRS, {"joint": path}, settings, {"task": "t"})
        assert stored_layers(activation_metadata(path)) == stored
        for layer in stored:
            np.testing.assert_array_equal(read_layer(path, layer), whole[:, layer])
    past = EXACT.model_copy(update={"layers": [0, 3]})
    with pytest.raises(UserError, match=r"^activations\.layers: 3 is past .* allowed: 0 .* to 2$"):
        write_activations(encoder, PAIRS, {"joint": path}, past, {"task": "t"})


# --- words -------------------------------------------------------------------------------------


def test_a_word_is_the_mean_of_its_sub_words(encoder: Tiny, tmp_path: Path) -> None:
    vectors = write(encoder, SENTENCES, "word", tmp_path / "a.parquet")
    row = 0
    for tokens in SENTENCES["tokens"].to_pylist():
        own = encoder.tokenizer(tokens, is_split_into_words=True)
        hidden = states(encoder, own["input_ids"])
        for word in range(len(tokens)):
            places = [at for at, index in enumerate(own.word_ids()) if index == word]
            for layer in range(3):
                expected = hidden[layer][places].mean(axis=0)
                np.testing.assert_allclose(vectors[row, layer], expected, **CLOSE)
            row += 1
    assert row == len(vectors)


def test_the_last_view_of_a_word_is_its_last_sub_word(encoder: Tiny, tmp_path: Path) -> None:
    vectors = write(encoder, SENTENCES, "word-last", tmp_path / "a.parquet")
    row = 0
    for tokens in SENTENCES["tokens"].to_pylist():
        own = encoder.tokenizer(tokens, is_split_into_words=True)
        hidden = states(encoder, own["input_ids"])
        for word in range(len(tokens)):
            last = max(at for at, index in enumerate(own.word_ids()) if index == word)
            for layer in range(3):
                np.testing.assert_allclose(vectors[row, layer], hidden[layer][last], **CLOSE)
            row += 1
    assert row == len(vectors)


def windows_by_hand(tiny: Tiny, tokens: list[str], limit: int) -> list[list[list[int]]]:
    """Words as lists of sub-words, in windows filled from the left."""
    room = limit - len(tiny.special_tokens.before) - len(tiny.special_tokens.after)
    space = (
        " "
        if tiny.tokenizer.convert_ids_to_tokens(tiny.special_tokens.between) == ["<|endoftext|>"]
        else ""
    )
    found: list[list[list[int]]] = [[]]
    for word in tokens:
        pieces = tiny.tokenizer(space + word, add_special_tokens=False)["input_ids"]
        if sum(map(len, found[-1])) + len(pieces) > room:
            found.append([])
        found[-1].append(pieces)
    return found


def test_words_of_a_windowed_sentence_come_in_order(tiny: Tiny, tmp_path: Path) -> None:
    long = TEXTS[0].split() + TEXTS[3].split() + ["abnormalities"] + TEXTS[1].split()
    tags = ["O"] * len(long)
    table = ner_table([(["fever"], ["B-drug"]), (long, tags), (["a", "rash"], ["O", "B-drug"])])
    path = tmp_path / "a.parquet"
    vectors = write(tiny, table, "word", path, EXACT.model_copy(update={"max_length": 16}))
    keys = read_keys(path)
    assert keys["word"] == ["fever", *long, "a", "rash"]
    assert keys["word_index"] == [0, *range(len(long)), 0, 1]
    assert keys["example_id"] == ["s0", *["s1"] * len(long), "s2", "s2"]
    assert keys["label"] == ["B-drug", *tags, "O", "B-drug"]
    parts = windows_by_hand(tiny, long, 16)
    assert len(parts) > 2
    row = 1
    for part in parts:
        ids = [
            *tiny.special_tokens.before,
            *(i for word in part for i in word),
            *tiny.special_tokens.after,
        ]
        hidden = states(tiny, ids)
        at = len(tiny.special_tokens.before)
        for word in part:
            for layer in range(3):
                expected = hidden[layer][at : at + len(word)].mean(axis=0)
                np.testing.assert_allclose(vectors[row, layer], expected, **CLOSE)
            at += len(word)
            row += 1
    assert row == 1 + len(long)


def test_cut_words_and_texts_are_counted_in_the_log(
    encoder: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    brief = EXACT.model_copy(update={"max_length": 16})
    write(encoder, SENTENCES, "word", tmp_path / "a.parquet", brief)
    assert not caplog.messages
    table = ner_table([(["t" * 60, "fever"], ["O", "O"])])
    write(encoder, table, "word", tmp_path / "b.parquet", brief)
    assert "1 texts or words cut to 16 sub-words" in caplog.text
    caplog.clear()
    long = nli_table([(TEXTS[0] * 3, TEXTS[1] * 3, "neutral"), ("fever", "pain", "neutral")])
    write(encoder, long, "separate", tmp_path / "c.parquet", brief)
    assert "2 texts or words cut" in caplog.text
    caplog.clear()
    write(encoder, long, "joint", tmp_path / "d.parquet", brief)
    assert "1 texts or words cut" in caplog.text


# --- batches, blocks, types --------------------------------------------------------------------


@pytest.mark.parametrize("view", ["separate", "joint", "word"])
def test_neither_batches_nor_blocks_change_rows_or_order(
    tiny: Tiny, view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = SENTENCES if view == "word" else PAIRS
    expected = write(tiny, table, view, tmp_path / "a.parquet")
    for block, budget in ((256, 1), (3, 60), (1, 4096)):
        monkeypatch.setattr(activations, "BLOCK", block)
        path = tmp_path / f"{block}.parquet"
        settings = EXACT.model_copy(update={"batch_tokens": budget})
        np.testing.assert_allclose(write(tiny, table, view, path, settings), expected, **CLOSE)
        assert read_keys(path) == read_keys(tmp_path / "a.parquet")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("view", ["separate", "joint", "word"])
def test_identical_texts_get_identical_vectors_in_every_block_and_split(
    encoder: Tiny, view: View, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two blocks hold other texts, so their batches round differently."""
    monkeypatch.setattr(activations, "BLOCK", 3)
    rows = SENTENCES if view == "word" else PAIRS
    table = pa.concat_tables([rows, rows.slice(1, 5), rows.slice(4)])
    splits = {"train": (table.slice(0, 9), {}), "test": (table.slice(9), {})}
    settings = EXACT.model_copy(update={"precision": precision})
    write_all_activations(encoder, splits, [view], tmp_path, settings)
    found: dict[Any, bytes] = {}
    repeated = 0
    for split, (part, _) in splits.items():
        path = tmp_path / view / f"{split}.parquet"
        layers = np.stack([read_layer(path, layer) for layer in range(3)], axis=1)
        counts = [len(text) if view == "word" else 1 for text in texts_of(part, view)]
        if view == "separate":
            layers = np.concatenate(np.split(layers, 2, axis=2))
        ends = np.cumsum(counts)[:-1]
        for text, own in zip(texts_of(part, view), np.split(layers, ends), strict=True):
            repeated += text in found
            assert found.setdefault(text, own.tobytes()) == own.tobytes()
    assert repeated > 10


def test_vectors_wait_in_the_file_only_while_their_text_comes_again(tmp_path: Path) -> None:
    words = [["a", "b"], ["c"], ["a", "b"], ["d"], ["a", "b"], ["c"]]
    table = ner_table([(each, ["O"] * len(each)) for each in words])
    asked: list[Any] = []

    def encode(texts: list[Any]) -> list[np.ndarray]:
        asked.extend(texts)
        return [np.full((len(text), 2, 3), len(asked), np.float32) for text in texts]

    with (tmp_path / "waiting").open("w+b") as file:
        once, found, waiting = Once([table], "word", file), [], []
        for start in range(0, 6, 2):
            found += once.vectors(texts_of(table.slice(start, 2), "word"), encode)
            waiting.append(set(once.places))
        assert file.seek(0, 2) == (2 + 1) * 2 * 3 * 4
    assert asked == [("a", "b"), ("c",), ("d",)]
    assert waiting == [{("a", "b"), ("c",)}, {("a", "b"), ("c",)}, set()]
    assert [each.shape[0] for each in found] == [2, 1, 2, 1, 2, 1]
    assert all(np.array_equal(found[one], found[two]) for one, two in ((0, 2), (0, 4), (1, 5)))


def test_the_same_call_writes_the_same_bytes(encoder: Tiny, tmp_path: Path) -> None:
    for name in "ab":
        write(encoder, PAIRS, "separate", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_float16_is_near_float32(encoder: Tiny, tmp_path: Path) -> None:
    wide = write(encoder, PAIRS, "joint", tmp_path / "a.parquet")
    narrow = write(encoder, PAIRS, "joint", tmp_path / "b.parquet", Activations())
    np.testing.assert_allclose(narrow, wide, rtol=2e-3, atol=2e-3)
    assert activation_metadata(tmp_path / "b.parquet")["dtype"] == "float16"


def test_a_value_past_float16_is_an_error_and_leaves_no_file(encoder: Tiny, tmp_path: Path) -> None:
    large = copy.deepcopy(encoder.model)
    with torch.no_grad():
        large.encoder.layer[1].output.LayerNorm.weight *= 1e6
    with pytest.raises(UserError, match="float16"):
        write(encoder, PAIRS, "joint", tmp_path / "a.parquet", Activations(), model=large)
    assert not list(tmp_path.iterdir())
    vectors = write(encoder, PAIRS, "joint", tmp_path / "a.parquet", model=large)
    assert np.isfinite(vectors).all()
    assert np.abs(vectors).max() > 65504


def test_random_weights_give_other_vectors_the_same_for_a_seed(tiny: Tiny, tmp_path: Path) -> None:
    trained = write(tiny, PAIRS, "joint", tmp_path / "t.parquet")
    found = {}
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        model = random_model(tiny.folder, tiny.tokenizer, seed)
        found[name] = write(tiny, PAIRS, "joint", tmp_path / name, model=model)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    for layer in range(3):
        assert np.abs(found["a"][:, layer] - found["c"][:, layer]).max() > 0.05
        assert np.abs(found["a"][:, layer] - trained[:, layer]).max() > 0.05
