"""Fine-tuning learns a planted signal and nothing from shuffled labels, the same every time."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import entropy
from tiny_models import TEXTS, Tiny, ner_table, nli_table, text_table
from transformers import Trainer

from layerscope.config.extraction import Activations
from layerscope.config.training import FineTuning
from layerscope.core.errors import UserError
from layerscope.data.labels import TaskLabels
from layerscope.extraction.predictions import predict
from layerscope.models.load import load_with_head
from layerscope.models.loaded import load_fine_tuned
from layerscope.training import finetuning
from layerscope.training.finetuning import IGNORED, FineTuningData, finetune, guessing_loss
from layerscope.training.trainer import training_arguments

CLASSES = ["entailment", "neutral", "contradiction"]
SIGNS = ["yes", "maybe", "no"]
TAGS = ["O", "B-drug", "I-drug"]
FILLERS = ["the", "patient", "fever", "dry", "cough", "skin", "hand", "heart", "murmur", "seizures"]
SETTINGS = FineTuning(
    learning_rate=3e-3, epochs=4, batch_size=8, max_length=48, warmup_ratio=0.1, weight_decay=0.0
)


def pairs(count: int, seed: int, shuffle: bool = False) -> pa.Table:
    """Pairs whose class is told by words somewhere in the hypothesis."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        label = index % 3
        premise = list(rng.choice(FILLERS, rng.integers(2, 8)))
        hypothesis = [SIGNS[label], *rng.choice(FILLERS, rng.integers(4)), SIGNS[label]]
        shown = rng.integers(3) if shuffle else label
        rows.append((" ".join(premise), " ".join(hypothesis), CLASSES[shown]))
    return nli_table(rows)


def sentences(count: int, seed: int, shuffle: bool = False) -> pa.Table:
    """Sentences in which "aspirin kinase" is an entity, wherever it stands."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        tokens = [str(word) for word in rng.choice(FILLERS, rng.integers(2, 8))]
        tags = ["O"] * len(tokens)
        at = int(rng.integers(len(tokens) + 1))
        tokens[at:at] = ["aspirin", "kinase"]
        tags[at:at] = ["B-drug", "I-drug"]
        if shuffle:
            rng.shuffle(tags)
        rows.append((tokens, tags))
    return ner_table(rows)


def task_of(table: pa.Table, merged: bool = False) -> TaskLabels:
    if "premise" in table.column_names:
        return TaskLabels("nli", CLASSES)
    if "text" in table.column_names:
        return TaskLabels("classification", CLASSES)
    return TaskLabels("ner", TAGS, merged)


def tuned(
    tiny: Tiny, out: Path, train: pa.Table, merge_tags: bool = False, **options: Any
) -> dict[str, Any]:
    task = task_of(train, merge_tags)
    out.mkdir(parents=True)
    defaults: dict[str, Any] = {
        "architecture": tiny.architecture,
        "settings": SETTINGS,
        "seed": 1,
    }
    held = train
    if task.kind != "classification":
        held = pairs(12, 5) if task.kind == "nli" else sentences(8, 5)
    data = FineTuningData(train, held, task)
    return finetune(tiny.folder, out, data, **(defaults | options))


def accuracy(folder: Path, architecture: str, table: pa.Table, merge_tags: bool = False) -> float:
    task = task_of(table, merge_tags)
    found = predict(load_fine_tuned(folder, architecture, task), table, task, Activations())
    # Of words, those inside an entity count: of all words "O" alone would be right too often.
    asked = [at for at, label in enumerate(found["label"]) if task.kind == "nli" or label != "O"]
    return float(np.mean([found["label"][at] == found["predicted"][at] for at in asked]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_a_planted_signal_is_learnt(tiny: Tiny, kind: str, tmp_path: Path) -> None:
    make = pairs if kind == "nli" else sentences
    history = tuned(tiny, tmp_path / "f", make(180, 1))
    assert accuracy(tmp_path / "f", tiny.architecture, make(60, 2)) > 0.9
    losses = [entry["loss"] for entry in history["log"]]
    assert losses[-1] < 0.6 * losses[0]
    assert history["validation_loss"] < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_nothing_is_learnt_from_shuffled_labels(encoder: Tiny, kind: str, tmp_path: Path) -> None:
    make = pairs if kind == "nli" else sentences
    tuned(encoder, tmp_path / "f", make(150, 1, shuffle=True))
    assert accuracy(tmp_path / "f", "encoder", make(90, 2)) < 0.6


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    tiny: Tiny, tmp_path: Path
) -> None:
    brief = SETTINGS.model_copy(update={"epochs": 1})
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(ord(name))  # what ran before must not matter
        tuned(tiny, tmp_path / name, pairs(24, 1), settings=brief, seed=seed)
    a, b, c = ((tmp_path / name) for name in "abc")
    assert sorted(p.name for p in a.iterdir()) == sorted(p.name for p in b.iterdir())
    for path in a.iterdir():
        assert path.read_bytes() == (b / path.name).read_bytes(), path.name
    assert (a / "model.safetensors").read_bytes() != (c / "model.safetensors").read_bytes()


def test_the_whole_model_is_trained(tiny: Tiny, tmp_path: Path) -> None:
    tuned(tiny, tmp_path / "f", pairs(24, 1))
    before = tiny.model.state_dict()
    after = load_file(tmp_path / "f" / "model.safetensors")
    prefix = f"{tiny.model.base_model_prefix}."
    blocks = [name for name in before if "0.attn" in name or "0.self_attn" in name]
    blocks += [name for name in before if "layer.0.attention" in name]
    assert blocks
    for name in blocks:
        if "bias" not in name:
            assert not torch.equal(before[name], after[prefix + name]), name


def test_a_small_sample_is_passed_over_until_it_has_its_steps(
    encoder: Tiny, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 1, "min_steps": 5})
    history = tuned(encoder, tmp_path / "few", pairs(12, 1), settings=settings)
    assert (history["epochs"], history["steps"]) == (3, 6)  # batches of 8 and 4
    assert settings.epochs_of(40) == settings.epochs_of(1000) == 1
    assert settings.model_copy(update={"min_steps": 1000}).epochs_of(12) == 20
    assert settings.model_copy(update={"min_steps": 1000, "epochs": 30}).epochs_of(12) == 30


def test_guessing_costs_the_entropy_of_the_labels() -> None:
    words = [[IGNORED, 0, 2], [0, IGNORED], [2, 0]]
    assert guessing_loss(words) == pytest.approx(entropy([3, 2]))
    assert guessing_loss([1, 1, 1]) == 0


def test_the_history_counts_what_was_done(encoder: Tiny, tmp_path: Path) -> None:
    long = nli_table([(" ".join(TEXTS), " ".join(TEXTS), "neutral")] * 3)
    table = pa.concat_tables([pairs(27, 1), long])
    settings = SETTINGS.model_copy(update={"epochs": 2, "max_length": 40})
    history = tuned(encoder, tmp_path / "f", table, settings=settings)
    rows = table.to_pydict()
    own = encoder.tokenizer(
        rows["premise"], rows["hypothesis"], truncation="longest_first", max_length=40
    )
    assert history == json.loads((tmp_path / "f" / "history.json").read_text())
    assert history["examples"] == history["sequences"] == 30
    assert history["cut_pairs"] == 3
    assert history["sub_words"] == sum(map(len, own["input_ids"]))
    assert history["steps"] == 2 * 4  # 30 examples in batches of 8, the last one of 6, twice
    assert history["guessing_loss"] == pytest.approx(entropy([9, 12, 9]))
    assert history["labels"] == CLASSES
    assert history["seed"] == 1
    assert FineTuning.model_validate(history["settings"]) == settings
    assert all(one["step"] < two["step"] for one, two in pairwise(history["log"]))


def test_a_text_is_tuned_on_as_its_tokenizer_cuts_it(tiny: Tiny, tmp_path: Path) -> None:
    texts = [*TEXTS, f"{TEXTS[0]} {TEXTS[1]}"]
    table = text_table([(text, CLASSES[at % 3]) for at, text in enumerate(texts)])
    settings = SETTINGS.model_copy(update={"epochs": 1, "max_length": 16})
    history = tuned(tiny, tmp_path / "f", table, settings=settings)
    whole, cut = (
        [len(ids) for ids in tiny.tokenizer(texts, **options)["input_ids"]]
        for options in ({}, {"truncation": True, "max_length": 16})
    )
    assert history["cut_texts"] == sum(length > 16 for length in whole) > 0
    assert history["sub_words"] == sum(cut)
    assert (history["sequences"], history["steps"]) == (8, 1)


def test_the_history_counts_windows_and_cut_words(encoder: Tiny, tmp_path: Path) -> None:
    words = ["fever"] * 30  # one sub-word each: windows of 14, 14 and 2
    assert len(encoder.tokenizer.tokenize("fever")) == 1
    table = ner_table([(words, ["O"] * 30), (["t" * 60, "fever"], ["B-drug", "O"])])
    settings = SETTINGS.model_copy(update={"max_length": 16, "epochs": 1})
    history = tuned(encoder, tmp_path / "f", table, settings=settings)
    assert history["examples"] == 2
    assert history["sequences"] == 3 + 2
    assert history["cut_words"] == 1


def labelled(
    tiny: Tiny,
    table: pa.Table,
    monkeypatch: pytest.MonkeyPatch,
    out: Path,
    limit: int,
    **options: Any,
) -> dict[str, torch.Tensor]:
    """The batch of all training sequences that the Trainer would be given."""

    class Stop(Exception):  # noqa: N818
        pass

    seen: dict[str, Any] = {}

    def spy(model: Any, arguments: Any, train: Any, held: Any, collate: Any) -> None:
        seen.update(items=train._items, collate=collate)
        raise Stop

    monkeypatch.setattr(finetuning, "make_trainer", spy)
    settings = SETTINGS.model_copy(update={"max_length": limit})
    with pytest.raises(Stop):
        tuned(tiny, out, table, settings=settings, **options)
    return dict(seen["collate"](seen["items"]))


def test_the_first_sub_word_of_an_encoder_has_the_label_and_others_none(
    encoder: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = ner_table(
        [
            (["IL-2", "abnormalities", "the", "murmurs"], ["B-drug", "I-drug", "O", "B-drug"]),
            (["fever"], ["O"]),
        ]
    )
    batch = labelled(encoder, table, monkeypatch, tmp_path / "f", 48)
    for row, (tokens, tags) in enumerate(
        zip(table["tokens"].to_pylist(), table["tags"].to_pylist(), strict=True)
    ):
        own = encoder.tokenizer(tokens, is_split_into_words=True)
        expected = []
        for at, word in enumerate(own.word_ids()):
            first = word is not None and word != own.word_ids()[at - 1]
            expected.append(TAGS.index(tags[word]) if first else IGNORED)
        length = len(expected)
        assert batch["input_ids"][row, :length].tolist() == own["input_ids"]
        assert batch["labels"][row, :length].tolist() == expected
        assert set(batch["labels"][row, length:].tolist()) <= {IGNORED}
        assert batch["attention_mask"][row].sum() == length
    assert (batch["labels"] != IGNORED).sum() == 5


def test_the_last_sub_word_of_a_decoder_has_the_label_and_others_none(
    decoder: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tokens, tags = ["IL-2", "aspirin", "é", "x"], ["B-drug", "I-drug", "O", "B-drug"]
    table = ner_table([(tokens, tags), (["fever"], ["O"])])
    batch = labelled(decoder, table, monkeypatch, tmp_path / "f", 48)
    ids, labels = [], []
    for word, tag in zip(tokens, tags, strict=True):
        pieces = decoder.tokenizer(f" {word}")["input_ids"]
        ids += pieces
        labels += [IGNORED] * (len(pieces) - 1) + [TAGS.index(tag)]
    assert batch["input_ids"][0].tolist() == ids
    assert batch["labels"][0].tolist() == labels
    assert sorted(batch["labels"][1].tolist())[-2:] == [IGNORED, TAGS.index("O")]


def test_labels_follow_their_words_over_windows(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tokens = FILLERS * 3
    tags = [TAGS[index % 3] for index in range(len(tokens))]
    batch = labelled(tiny, ner_table([(tokens, tags)]), monkeypatch, tmp_path / "f", 16)
    assert len(batch["labels"]) > 1
    found = [TAGS[label] for label in batch["labels"].flatten().tolist() if label != IGNORED]
    assert found == tags


def test_labels_of_pairs_are_numbers_of_the_label_names(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = pairs(9, 1)
    batch = labelled(tiny, table, monkeypatch, tmp_path / "f", 48)
    assert [CLASSES[label] for label in batch["labels"]] == table["label"].to_pylist()


def test_padding_of_training_batches_changes_no_loss(tiny: Tiny) -> None:
    """A short pair has the loss beside a long one that it has alone."""
    collate = finetuning._collator(tiny.special_tokens)
    items, _ = finetuning._items(pairs(6, 3), TaskLabels("nli", CLASSES), tiny, 48)
    torch.manual_seed(0)
    model = load_with_head(tiny.folder, tiny.tokenizer, "nli", CLASSES)
    with torch.no_grad():
        alone = [model(**collate([item])).loss.item() for item in items]
        together = model(**collate(items)).loss.item()
    assert len({len(item["encoded"].ids) for item in items}) > 1
    assert together == pytest.approx(np.mean(alone), rel=1e-4)


def test_what_cannot_be_trained_gives_one_line(encoder: Tiny, tmp_path: Path) -> None:
    table = pairs(40, 1)
    with pytest.raises(UserError, match="no example to train on"):
        tuned(encoder, tmp_path / "a", table.slice(0, 0))
    wild = SETTINGS.model_copy(update={"learning_rate": 1e30, "epochs": 1})
    with pytest.raises(UserError, match="diverged"):
        tuned(encoder, tmp_path / "b", table, settings=wild)
    missing = replace(encoder, folder=tmp_path / "nowhere")
    with pytest.raises(UserError, match="no such folder"):
        tuned(missing, tmp_path / "c", table)


@pytest.mark.slow
def test_merged_tags_are_learnt_and_predicted_as_iob2(encoder: Tiny, tmp_path: Path) -> None:
    history = tuned(encoder, tmp_path / "f", sentences(180, 1), merge_tags=True)
    assert history["labels"] == ["O", "drug"]
    head = json.loads((tmp_path / "f" / "config.json").read_text())["id2label"]
    assert head == {"0": "O", "1": "drug"}
    assert accuracy(tmp_path / "f", "encoder", sentences(60, 2), merge_tags=True) > 0.9


def test_labels_of_merged_tags_are_types(
    encoder: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = ner_table([(["fever", "the", "dry", "skin"], ["B-drug", "I-drug", "O", "B-drug"])])
    batch = labelled(encoder, table, monkeypatch, tmp_path / "f", 48, merge_tags=True)
    assert [label for label in batch["labels"][0].tolist() if label != IGNORED] == [1, 1, 0, 1]


@pytest.mark.parametrize(
    ("schedule", "rise", "expected"),
    [
        ("linear", 0.0, [1 - step / 60 for step in range(60)]),
        ("constant", 0.0, [1.0] * 60),
        ("constant", 0.5, [min(step / 30, 1) for step in range(60)]),
        ("linear", 0.5, [min(step / 30, 2 - step / 30) for step in range(60)]),
    ],
)
def test_the_rate_follows_its_schedule(
    encoder: Tiny, tmp_path: Path, schedule: str, rise: float, expected: list[float]
) -> None:
    update = {"schedule": schedule, "warmup_ratio": rise, "batch_size": 1, "epochs": 2}
    settings = SETTINGS.model_copy(update=update)
    history = tuned(encoder, tmp_path / "f", pairs(30, 1), settings=settings)
    rates = {entry["step"]: entry["learning_rate"] for entry in history["log"]}
    assert list(rates) == [10, 20, 30, 40, 50, 60]
    for step, rate in rates.items():  # a step's rate is that of the steps before it
        assert rate == pytest.approx(SETTINGS.learning_rate * expected[step - 1]), step


def test_without_decay_adamw_is_adam(tmp_path: Path) -> None:
    """The Trainer's optimiser beside torch's Adam, on the same weights and gradients."""
    settings = SETTINGS.model_copy(
        update={"weight_decay": 0.0, "warmup_ratio": 0.0, "schedule": "constant", "epochs": 1}
    )
    arguments = training_arguments(str(tmp_path), settings, settings.batch_size)
    optimiser, options = Trainer.get_optimizer_cls_and_kwargs(arguments)
    weights = [torch.nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2)]
    ours = optimiser([weights[0]], weight_decay=arguments.weight_decay, **options)
    adam = torch.optim.Adam([weights[1]], lr=settings.learning_rate)
    for step in range(20):
        for weight, one in zip(weights, (ours, adam), strict=True):
            one.zero_grad()
            ((weight - step) ** 4).sum().backward()
            one.step()
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
