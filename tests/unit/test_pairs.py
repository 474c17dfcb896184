"""Pairs in the four published models: frames, padding, pooling, attention, a step of tuning."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tiny_models import Tiny, everything, ner_table, nli_table
from transformers import PreTrainedModel
from vocabularies import LINES

from layerscope.config.extraction import Activations, Attention
from layerscope.config.training import FineTuning
from layerscope.data.labels import TaskLabels
from layerscope.extraction.activations import sequence_vectors
from layerscope.extraction.attention import choose_examples, compare_attention
from layerscope.extraction.predictions import predict
from layerscope.models.batching import collate
from layerscope.models.forward import forward
from layerscope.models.inputs import Encoded, encode_pairs, encode_words, tokenise_words
from layerscope.models.load import load_model, load_with_head
from layerscope.models.loaded import LoadedModel
from layerscope.models.tokenizers import load_tokenizer
from layerscope.training.finetuning import FineTuningData, finetune

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
LABELS = ["entailment", "neutral", "contradiction"]
TAGS = ["O", "B-protein", "I-protein"]
#: Texts that end in what could be taken for padding or for a separator.
SPELLED = ["<|endoftext|>", "a <pad>", "no </s>", "fever [SEP]", "none [PAD]", "a\u200b"]
PREMISES = [*LINES[:6], "Fever.", *(f"{line} {line}" for line in LINES[6:9]), *SPELLED]
HYPOTHESES = [*SPELLED, *LINES[10:14], "He.", *LINES[20:25]]


def pairs(tiny: Tiny, limit: int = 200) -> list[Encoded]:
    found, cut = encode_pairs(tiny.tokenizer, tiny.special_tokens, PREMISES, HYPOTHESES, limit)
    assert cut == 0
    return found


def classifier(tiny: Tiny, kind: str = "nli") -> PreTrainedModel:
    torch.manual_seed(3)
    model = load_with_head(tiny.folder, tiny.tokenizer, kind, LABELS)
    # A new head's weights are so small that its logits would all be near 0.
    head = getattr(model, "score", None) or model.classifier
    torch.nn.init.normal_(head.weight)
    return model


# --- frames -------------------------------------------------------------------------------------


def test_encoders_get_the_pairs_of_their_tokenizer(published: dict[str, Tiny]) -> None:
    for name in ("bert", "biobert"):
        tiny = published[name]
        own = tiny.tokenizer(
            PREMISES, HYPOTHESES, padding=True, return_tensors="pt", split_special_tokens=True
        )
        batch = collate(pairs(tiny), tiny.special_tokens)
        assert set(batch) == set(own)
        for key in own:
            assert torch.equal(batch[key], own[key]), key


def test_biogpt_gets_the_pairs_of_its_tokenizer(published: dict[str, Tiny]) -> None:
    tokenizer = published["biogpt"].tokenizer
    for premise, hypothesis, pair in zip(
        PREMISES, HYPOTHESES, pairs(published["biogpt"]), strict=True
    ):
        own = tokenizer(premise, hypothesis, split_special_tokens=True)["input_ids"]
        assert pair.ids == own
        assert pair.special == (0, pair.second - 1)
        assert {pair.ids[at] for at in pair.special} == {tokenizer.sep_token_id}


def test_gpt2_gets_its_end_of_text_between_the_texts_and_nowhere_else(
    published: dict[str, Tiny],
) -> None:
    tokenizer = published["gpt2"].tokenizer
    for premise, hypothesis, pair in zip(
        PREMISES, HYPOTHESES, pairs(published["gpt2"]), strict=True
    ):
        first, second = pair.ids[: pair.second - 1], pair.ids[pair.second :]
        assert (tokenizer.decode(first), tokenizer.decode(second)) == (premise, hypothesis)
        assert pair.special == (pair.second - 1,)
        places = [at for at, number in enumerate(pair.ids) if number == tokenizer.eos_token_id]
        assert places == [pair.second - 1]


def test_cut_pairs_keep_something_of_both_texts(replica: Tiny) -> None:
    limit = 16
    found, cut = encode_pairs(
        replica.tokenizer, replica.special_tokens, PREMISES, HYPOTHESES, limit
    )
    assert cut > 5
    for whole, pair in zip(pairs(replica), found, strict=True):
        assert len(pair.ids) == min(limit, len(whole.ids))
        ends = len(replica.special_tokens.before) + len(replica.special_tokens.between)
        assert pair.second > ends
        assert len(pair.ids) - len(replica.special_tokens.after) > pair.second


# --- padding and pooling ------------------------------------------------------------------------


def logits(model: PreTrainedModel, tiny: Tiny, budget: int) -> torch.Tensor:
    sequences = pairs(tiny)
    found = torch.full((len(sequences), len(LABELS)), torch.nan)
    for indices, (_, output) in forward(
        model, sequences, tiny.special_tokens, budget, "float32", everything
    ):
        found[indices] = output.logits
    return found


def test_logits_of_one_and_of_many_agree(replica: Tiny) -> None:
    model = classifier(replica)
    alone, together = logits(model, replica, 1), logits(model, replica, 100_000)
    assert alone.std(dim=0).min() > 0.05  # so that they could differ
    torch.testing.assert_close(together, alone, **CLOSE)
    torch.testing.assert_close(logits(model, replica, 150), alone, **CLOSE)


def test_vectors_of_one_and_of_many_agree(replica: Tiny) -> None:
    sequences = pairs(replica)
    alone, together = (
        sequence_vectors(replica, sequences, Activations(batch_tokens=budget, dtype="float32"))
        for budget in (1, 100_000)
    )
    assert np.isfinite(alone).all()
    np.testing.assert_allclose(together, alone, **CLOSE)


def test_what_stands_in_the_padding_changes_no_state(replica: Tiny) -> None:
    batch = collate(pairs(replica), replica.special_tokens)
    real = batch["attention_mask"].bool()
    assert not real.all()
    torch.manual_seed(0)
    noise = torch.randint(10, 500, batch["input_ids"].shape)
    noisy = batch | {"input_ids": torch.where(real, batch["input_ids"], noise)}
    with torch.inference_mode():
        states = replica.model(**batch, output_hidden_states=True).hidden_states
        others = replica.model(**noisy, output_hidden_states=True).hidden_states
    for one, other in zip(states, others, strict=True):
        torch.testing.assert_close(one[real], other[real], **CLOSE)


def test_decoders_classify_by_the_last_sub_word_of_the_hypothesis(
    published: dict[str, Tiny],
) -> None:
    for name in ("gpt2", "biogpt"):
        tiny = published[name]
        model = classifier(tiny)
        sequences = pairs(tiny)
        with torch.inference_mode():
            pooled = model(**collate(sequences, tiny.special_tokens)).logits
            for row, sequence in enumerate(sequences):
                state = model.base_model(torch.tensor([sequence.ids])).last_hidden_state[0]
                scores = model.score(state)
                torch.testing.assert_close(pooled[row], scores[-1], **CLOSE)
                assert not torch.allclose(scores[-1], scores[-2], atol=1e-3)


def test_encoders_classify_by_their_pooler(published: dict[str, Tiny]) -> None:
    for name in ("bert", "biobert"):
        tiny = published[name]
        model = classifier(tiny)
        batch = collate(pairs(tiny), tiny.special_tokens)
        with torch.inference_mode():
            pooled = torch.tanh(
                model.bert.pooler.dense(model.bert(**batch).last_hidden_state[:, 0])
            )
            torch.testing.assert_close(model(**batch).logits, model.classifier(pooled), **CLOSE)


# --- attention ----------------------------------------------------------------------------------


def eager(tiny: Tiny, noise: float = 0.0) -> PreTrainedModel:
    model = copy.deepcopy(tiny.model)
    model.set_attn_implementation("eager")
    torch.manual_seed(8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return model


def test_eager_attention_gives_the_same_states_and_none_to_padding(replica: Tiny) -> None:
    model = eager(replica)
    batch = collate(pairs(replica), replica.special_tokens)
    real = batch["attention_mask"].bool()
    with torch.inference_mode():
        output = model(**batch, output_attentions=True)
        usual = replica.model(**batch).last_hidden_state
    torch.testing.assert_close(output.last_hidden_state[real], usual[real], **CLOSE)
    assert len(output.attentions) == model.config.num_hidden_layers
    for maps in output.attentions:
        for row, length in enumerate(real.sum(dim=1).tolist()):
            rows = maps[row, :, :length]
            assert not rows[..., length:].any()
            torch.testing.assert_close(rows.sum(dim=-1), torch.ones(rows.shape[:-1]))
            if replica.architecture == "decoder":
                assert torch.equal(rows, rows.tril())


def test_attention_without_special_tokens_is_that_of_the_texts_alone(replica: Tiny) -> None:
    model, before = eager(replica, noise=0.1), eager(replica)
    changed = replace(replica, model=model)
    table = nli_table(list(zip(PREMISES, HYPOTHESES, ["neutral"] * len(PREMISES), strict=True)))
    settings = Attention(examples=6, max_length=200)
    examples = choose_examples(changed, table, "nli", settings)
    columns = compare_attention(examples, changed, before, None, 6)
    keys = zip(*(columns[key] for key in ("example_id", "layer", "head", "measure")), strict=True)
    found = dict(zip(keys, columns["value"], strict=True))

    for name, pair in examples:
        numbers: dict[str, Any] = {"input_ids": torch.tensor([pair.ids])}
        if replica.special_tokens.segments:
            sides = [int(at >= pair.second) for at in range(len(pair.ids))]
            numbers["token_type_ids"] = torch.tensor([sides])
        plain = [at for at in range(len(pair.ids)) if at not in pair.special]
        with torch.inference_mode():
            both = [each(**numbers, output_attentions=True).attentions for each in (before, model)]
        for layer, maps in enumerate(zip(*both, strict=True), start=1):
            for head in range(maps[0].shape[1]):
                a, b = (each[0, head].numpy()[np.ix_(plain, plain)] for each in maps)
                a, b = a / a.sum(axis=1, keepdims=True), b / b.sum(axis=1, keepdims=True)
                expected = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
                assert found[name, layer, head, "cosine_no_special"] == pytest.approx(
                    expected, abs=1e-5
                )
    assert found[examples[0][0], 1, 0, "cosine"] != pytest.approx(1, abs=1e-4)


# --- one step of tuning -------------------------------------------------------------------------

STEP = FineTuning(
    learning_rate=1e-2, epochs=1, batch_size=8, max_length=64, warmup_ratio=0.0, weight_decay=0.0
)


def examples(kind: str) -> pa.Table:
    if kind == "nli":
        labels = [LABELS[index % 3] for index in range(8)]
        return nli_table(list(zip(PREMISES[:8], HYPOTHESES[:8], labels, strict=True)))
    words = [line.split() for line in LINES[:7]] + [[*SPELLED, "😀", "IL-2"]]
    return ner_table([(each, ["B-protein", *["O"] * (len(each) - 1)]) for each in words])


@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_one_step_of_tuning_is_saved_read_again_and_predicts(
    replica: Tiny, kind: str, tmp_path: Path
) -> None:
    table = examples(kind)
    task = TaskLabels(kind, LABELS if kind == "nli" else TAGS)
    data = FineTuningData(table, table, task)
    history = finetune(
        replica.folder,
        tmp_path,
        data,
        architecture=replica.architecture,
        settings=STEP,
        seed=1,
    )
    assert history["examples"] == 8
    assert np.isfinite(history["validation_loss"])
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.pad_token_id == replica.special_tokens.pad
    body = load_model(tmp_path, tokenizer)
    moved = [
        name
        for name, weight in body.named_parameters()
        if not torch.equal(weight, replica.model.get_parameter(name))
    ]
    assert any("layer" in name or name.startswith("h.") for name in moved)
    model = load_with_head(tmp_path, tokenizer, kind, task.names)
    assert model.config.pad_token_id == replica.special_tokens.pad
    for key, weight in body.state_dict().items():
        if "pooler" not in key:
            assert torch.equal(weight, model.base_model.state_dict()[key]), key
    loaded = LoadedModel.of(model, tokenizer, replica.architecture)
    columns = predict(loaded, table, task, Activations(batch_tokens=500, max_length=64))
    rows = table.to_pydict()
    expected = 8 if kind == "nli" else sum(len(words) for words in rows["tokens"])
    assert len(columns["predicted"]) == expected
    assert np.isfinite(np.stack(columns["probabilities"])).all()


def test_word_states_of_one_and_of_many_agree(replica: Tiny) -> None:
    model = classifier(replica, "ner")
    words = [line.split() for line in LINES[:5]]
    pieces = tokenise_words(
        replica.tokenizer, replica.special_tokens, (w for each in words for w in each)
    )
    windows = [
        window
        for each in words
        for window in encode_words(pieces, replica.special_tokens, each, 24)
    ]
    batch = collate(windows, replica.special_tokens)
    with torch.inference_mode():
        together = model(**batch).logits
        for row, window in enumerate(windows):
            alone = model(**collate([window], replica.special_tokens)).logits[0]
            torch.testing.assert_close(together[row, : len(window.ids)], alone, **CLOSE)
