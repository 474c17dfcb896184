"""Predictions against direct calls of the model, one example at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tiny_models import TEXTS, Tiny, ner_table, nli_table, text_table
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from layerscope.config.extraction import Activations
from layerscope.core.formats import SCHEMAS
from layerscope.core.kinds import KINDS
from layerscope.data.iob import merge, unmerge
from layerscope.data.labels import TaskLabels
from layerscope.extraction.predictions import predict, unmerge_probabilities
from layerscope.models.load import load_with_head

CLASSES = ["contradiction", "entailment", "neutral"]
TAGS = ["O", "B-drug", "I-drug"]
PAIRS = nli_table(
    [
        (TEXTS[index % 7], " ".join(TEXTS[(index + 2) % 7].split()[: index % 4 + 1]), label)
        for index, label in enumerate(CLASSES * 3)
    ]
)
LONG = TEXTS[0].split() + TEXTS[3].split() + ["abnormalities"] + TEXTS[1].split()
SENTENCES = ner_table(
    [
        (["fever"], ["B-drug"]),
        (LONG, [TAGS[index % 3] for index in range(len(LONG))]),
        (["abnormalities", "of", "IL-2"], ["O", "O", "B-drug"]),
    ]
)


def with_head(tiny: Tiny, kind: str) -> PreTrainedModel:
    torch.manual_seed(11)
    return load_with_head(tiny.folder, tiny.tokenizer, kind, TAGS if kind == "ner" else CLASSES)


def predicted(
    tiny: Tiny, table: pa.Table, max_length: int = 64, batch_tokens: int = 4096
) -> dict[str, Any]:
    kind = next(kind for kind in KINDS if table.column_names == list(SCHEMAS[kind]))
    loaded = replace(tiny, model=with_head(tiny, kind))
    task = TaskLabels(kind, TAGS if kind == "ner" else CLASSES)
    settings = Activations(max_length=max_length, batch_tokens=batch_tokens)
    return predict(loaded, table, task, settings)


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("table", [PAIRS, SENTENCES], ids=["nli", "ner"])
@pytest.mark.parametrize("batch_tokens", [1, 40, 4096])
def test_predictions_fit_the_format(tiny: Tiny, table: pa.Table, batch_tokens: int) -> None:
    found = predicted(tiny, table, batch_tokens=batch_tokens)
    assert set(found) == set(SCHEMAS["predictions"])
    probabilities = np.stack(found["probabilities"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    labels = CLASSES if table is PAIRS else TAGS
    assert found["predicted"] == [labels[row.argmax()] for row in probabilities]
    assert np.ptp(probabilities, axis=0).max() > 0.01
    reference = predicted(tiny, table)["probabilities"]
    np.testing.assert_allclose(probabilities, np.stack(reference), rtol=1e-3, atol=1e-5)


def test_rows_and_truth_follow_the_table(tiny: Tiny) -> None:
    found = predicted(tiny, PAIRS, batch_tokens=30)
    assert list(found["example_id"]) == PAIRS["example_id"].to_pylist()
    assert list(found["group_id"]) == PAIRS["group_id"].to_pylist()
    assert list(found["label"]) == PAIRS["label"].to_pylist()
    assert list(found["word_index"]) == [0] * PAIRS.num_rows
    found = predicted(tiny, SENTENCES, max_length=16, batch_tokens=30)
    assert list(found["example_id"]) == ["s0", *["s1"] * len(LONG), *["s2"] * 3]
    assert list(found["group_id"]) == ["g0", *["g0"] * len(LONG), *["g1"] * 3]
    assert list(found["word_index"]) == [0, *range(len(LONG)), 0, 1, 2]
    assert list(found["label"]) == [tag for tags in SENTENCES["tags"].to_pylist() for tag in tags]


def test_a_pair_has_the_probabilities_of_a_direct_call(encoder: Tiny, decoder: Tiny) -> None:
    for tiny in (encoder, decoder):
        found = predicted(tiny, PAIRS)
        model = with_head(tiny, "nli")
        for row, example in enumerate(PAIRS.to_pylist()):
            if tiny is encoder:
                inputs = tiny.tokenizer(
                    example["premise"], example["hypothesis"], return_tensors="pt"
                )
            else:
                text = f"{example['premise']}<|endoftext|>{example['hypothesis']}"
                inputs = tiny.tokenizer(text, return_tensors="pt")
                inputs.pop("token_type_ids", None)
            with torch.no_grad():
                expected = softmax(model(**inputs).logits[0].numpy())
            np.testing.assert_allclose(found["probabilities"][row], expected, rtol=1e-3, atol=1e-5)


def test_a_text_has_the_probabilities_that_transformers_gives_it(
    tiny: Tiny, tmp_path: Path
) -> None:
    """Of its own class, tokenizer and way of cutting, one text at a time."""
    with_head(tiny, "classification").save_pretrained(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    given = [*TEXTS, f"{TEXTS[0]} {TEXTS[1]}"]
    texts = text_table([(text, CLASSES[row % 3]) for row, text in enumerate(given)])
    limit = 16
    found = predicted(tiny, texts, max_length=limit)
    assert found["label"] == texts["label"].to_pylist()
    lengths = []
    for row, text in enumerate(given):
        inputs = tiny.tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        with torch.no_grad():
            expected = softmax(model(**inputs).logits[0].numpy())
        np.testing.assert_allclose(found["probabilities"][row], expected, rtol=1e-3, atol=1e-5)
        lengths.append(inputs["input_ids"].shape[1])
    assert min(lengths) < limit == max(lengths)


def test_a_word_of_an_encoder_is_labelled_by_its_first_sub_word(encoder: Tiny) -> None:
    found = predicted(encoder, SENTENCES)
    model = with_head(encoder, "ner")
    expected = []
    for tokens in SENTENCES["tokens"].to_pylist():
        inputs = encoder.tokenizer(tokens, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits[0].numpy()
        words = inputs.word_ids()
        expected += [softmax(logits[words.index(word)]) for word in range(len(tokens))]
    np.testing.assert_allclose(np.stack(found["probabilities"]), expected, rtol=1e-3, atol=1e-5)


def test_a_word_of_a_decoder_is_labelled_by_its_last_sub_word_over_windows(decoder: Tiny) -> None:
    limit = 20
    found = predicted(decoder, SENTENCES, max_length=limit)
    model = with_head(decoder, "ner")
    expected, windows = [], 0
    for tokens in SENTENCES["tokens"].to_pylist():
        pieces = [decoder.tokenizer(f" {word}")["input_ids"] for word in tokens]
        while pieces:
            ids: list[int] = []
            ends = []
            while pieces and len(ids) + len(pieces[0]) <= limit:
                ids += pieces.pop(0)
                ends.append(len(ids) - 1)
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids])).logits[0].numpy()
            expected += [softmax(logits[end]) for end in ends]
            windows += 1
    assert windows > 4
    np.testing.assert_allclose(np.stack(found["probabilities"]), expected, rtol=1e-3, atol=1e-5)


def test_what_is_cut_is_counted_in_the_log(encoder: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    predicted(encoder, PAIRS)
    assert not caplog.messages
    long = nli_table([(TEXTS[0], TEXTS[1], "neutral"), ("fever", "pain", "neutral")])
    predicted(encoder, long, max_length=16)
    assert caplog.messages == ["pairs cut to 16 sub-words: 1"]
    caplog.clear()
    predicted(encoder, text_table([(TEXTS[0] * 3, "neutral")]), max_length=16)
    assert caplog.messages == ["texts cut to 16 sub-words: 1"]
    caplog.clear()
    predicted(encoder, ner_table([(["t" * 60, "fever"], ["O", "O"])]), max_length=16)
    assert caplog.messages == ["words cut to 16 sub-words: 1"]


def test_predictions_of_merged_tags_are_iob2(tiny: Tiny) -> None:
    """A head that knows two types: each word's tag and probabilities, worked out from its own."""
    labels = ["O", "B-drug", "I-drug", "B-sign", "I-sign"]
    merged = ["O", "drug", "sign"]
    torch.manual_seed(3)
    model = load_with_head(tiny.folder, tiny.tokenizer, "ner", merged)
    loaded, settings = replace(tiny, model=model), Activations(max_length=64)
    found = predict(loaded, SENTENCES, TaskLabels("ner", labels, merged=True), settings)
    own = predict(loaded, SENTENCES, TaskLabels("ner", merged), settings)
    assert set(found) == set(SCHEMAS["predictions"])
    assert found["label"] == own["label"]
    assert merge(found["predicted"]) == own["predicted"]
    assert found["predicted"] == unmerge(own["predicted"], list(own["example_id"]))
    assert len(set(found["predicted"])) > 2
    for row, tag, types in zip(
        found["probabilities"], found["predicted"], own["probabilities"], strict=True
    ):
        assert labels[row.argmax()] == tag
        np.testing.assert_array_equal([row[0], row[1] + row[2], row[3] + row[4]], types)


def test_the_probability_of_a_type_goes_to_the_tag_that_it_would_have() -> None:
    types = np.asarray(
        [[0.1, 0.9, 0.0], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.0, 0.4, 0.6], [0.1, 0.3, 0.6]],
        dtype=np.float32,
    )
    sentences = np.asarray(["a", "a", "a", "a", "b"], dtype=object)
    found = unmerge_probabilities(types, sentences, ["O", "B-x", "I-x", "B-y", "I-y"])
    expected = [
        [0.1, 0.9, 0.0, 0.0, 0.0],
        [0.2, 0.0, 0.5, 0.3, 0.0],  # after x: x goes on, y would begin
        [0.6, 0.0, 0.3, 0.1, 0.0],
        [0.0, 0.4, 0.0, 0.6, 0.0],  # after O
        [0.1, 0.3, 0.0, 0.6, 0.0],  # another sentence
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
