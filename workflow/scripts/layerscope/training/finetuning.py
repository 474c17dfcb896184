"""Fine-tuning with the Hugging Face Trainer: the whole model and a new classification head.

Sequence classification for single texts and pairs; token classification for NER, where one sub-word
stands for its word: the first for an encoder (Devlin et al. 2019), the last for a decoder, which
has only then read the whole word.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from layerscope.config.training import FineTuning
from layerscope.config.weights import Lora
from layerscope.core.errors import UserError
from layerscope.core.files import write_json
from layerscope.core.kinds import labels_examples, units
from layerscope.data.labels import TaskLabels
from layerscope.models.adapters import add_adapter, save_adapter
from layerscope.models.batching import collate
from layerscope.models.inputs import (
    Encoded,
    SpecialTokens,
    encode_examples,
    encode_sentences,
    labelled_position,
)
from layerscope.models.load import (
    load_with_fresh_head,
    position_limit,
    uses_bfloat16,
)
from layerscope.models.loaded import LoadedModel, Weights
from layerscope.models.placement import placed
from layerscope.models.tokenizers import load_tokenizer
from layerscope.training.checkpoints import Checkpoints
from layerscope.training.order import Epochs, Items, similar_lengths
from layerscope.training.trainer import (
    IGNORED,
    Run,
    final_loss,
    loss_log,
    make_trainer,
    train_on,
    training_arguments,
    within_memory,
)


def _items(
    table: pa.Table, task: TaskLabels, loaded: LoadedModel, limit: int
) -> tuple[list[dict[str, Any]], int]:
    """Training items of a prepared table, and how many texts, pairs or words are cut."""
    number = {name: index for index, name in enumerate(task.learned)}
    reader = (loaded.tokenizer, loaded.special_tokens)
    rows = task.as_learned(table).to_pydict()
    if labels_examples(task.kind):
        encoded, cut = encode_examples(*reader, rows, task.kind, limit)
        targets: list[Any] = [number[label] for label in rows["label"]]
        pairs = zip(encoded, targets, strict=True)
        return [{"encoded": e, "target": t} for e, t in pairs], cut
    sentences, cut = encode_sentences(*reader, rows["tokens"], limit)
    items = []
    for windows, tags in zip(sentences, rows["tags"], strict=True):
        done = 0
        for window in windows:
            target = [IGNORED] * len(window.ids)
            for span, tag in zip(window.words, tags[done:], strict=False):
                target[labelled_position(span, loaded.architecture)] = number[tag]
            done += len(window.words)
            items.append({"encoded": window, "target": target})
    return items, cut


def guessing_loss(targets: Iterable[int | Sequence[int]]) -> float:
    """Loss of a model that knows how frequent each label is and nothing else, in nats a label.

    Args:
        targets: labels by number, of sequences or of their sub-words; -100 is left out.

    Returns:
        The entropy of the labels.
    """
    flat = np.concatenate([np.ravel(target) for target in targets])
    counts = np.bincount(flat[flat != IGNORED])
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _collator(special_tokens: SpecialTokens) -> Any:
    def together(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        encoded: list[Encoded] = [item["encoded"] for item in items]
        batch = collate(encoded, special_tokens)
        if isinstance(items[0]["target"], int):
            batch["labels"] = torch.tensor([item["target"] for item in items])
        else:
            batch["labels"] = torch.full_like(batch["input_ids"], IGNORED)
            for row, item in enumerate(items):
                batch["labels"][row, : len(item["target"])] = torch.tensor(item["target"])
        return batch

    return together


@dataclass(frozen=True)
class FineTuningData:
    """What a model is fine-tuned on: prepared rows, and how their labels are learned."""

    train: pa.Table
    validation: pa.Table  # for the loss in the history; nothing is chosen by it
    task: TaskLabels


def finetune(
    folder: str | Path,
    out: Path,
    data: FineTuningData,
    *,
    architecture: str,
    settings: FineTuning,
    seed: int,
    adapter: Lora | None = None,
    weights: Weights = Weights(),  # noqa: B008 (it is frozen)
    checkpoints: Checkpoints | None = None,
) -> dict[str, Any]:
    """Fine-tune a model and save it with its tokenizer, or an adapter, and `history.json`.

    A training that goes on from a checkpoint ends with the same bytes as one that was never killed.

    Args:
        folder: the pre-trained model.
        out: an existing folder to write to.
        data: prepared rows and the labels of the task.
        architecture: "encoder" or "decoder".
        settings: of the training.
        seed: of the new head, the order of the examples and dropout.
        adapter: what is trained and saved with the head, without the model; None for all of it.
        weights: how those of the model are loaded.
        checkpoints: where to save on the way and where to go on; None for nowhere.

    Returns:
        The history: settings, counts, and the loss by step.

    Raises:
        UserError: no model in `folder`, nothing to train on, a loss that is not finite, too little
            memory for one sequence, or another process that has begun the same job.
    """
    _require_examples(data)
    tokenizer = load_tokenizer(folder)

    loading = (folder, tokenizer, data.task.kind, data.task.learned, weights.dtype)

    def attempt(run: Run) -> dict[str, Any]:
        set_seed(seed)
        model, replaced = load_with_fresh_head(*loading)
        trained = _made_trainable(placed(weights.finished(model)), settings, adapter)
        loaded = LoadedModel.of(model, tokenizer, architecture)
        found = _train(trained, loaded, data, settings, seed, run)
        _save(trained, tokenizer, None if adapter is None else folder, run.out)
        return {"replaced_head": replaced, **found}

    history = {
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "architecture": architecture,
        "bfloat16": uses_bfloat16(settings.precision),
        "labels": list(data.task.learned),
        "examples": data.train.num_rows,
        **(_of_adapter(adapter, weights) if adapter else {}),
        **within_memory(attempt, settings, out, checkpoints),
    }
    write_json(out / "history.json", history)
    return history


def _of_adapter(adapter: Lora, weights: Weights) -> dict[str, Any]:
    """What the history says of an adapter and its base."""
    dtype = str(weights.dtype).removeprefix("torch.")
    found = {"adapter": adapter.model_dump(mode="json"), "dtype": dtype}
    return {**found, "quantisation": "4bit"} if weights.quantised else found


def _require_examples(data: FineTuningData) -> None:
    for name, table in (("train on", data.train), ("validate with", data.validation)):
        if not table.num_rows:
            raise UserError(f"no example to {name}; allowed: at least one")


def _save(
    trained: Any, tokenizer: PreTrainedTokenizerBase, base: str | Path | None, out: Path
) -> None:
    """Write a model with its tokenizer, or an adapter of a base."""
    if base is not None:
        save_adapter(trained, base, out)
        return
    trained.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _made_trainable(model: PreTrainedModel, settings: FineTuning, adapter: Lora | None) -> Any:
    """What the Trainer is given: the model, or what holds it with its adapter.

    Raises:
        UserError: the settings ask for what a model of this class does not do.
    """
    if settings.gradient_checkpointing and not model.supports_gradient_checkpointing:
        raise UserError(
            f"{type(model).__name__} has no gradient checkpointing; "
            "allowed: gradient_checkpointing: false"
        )
    return add_adapter(model, adapter) if adapter else model


def _train(
    trained: Any,
    loaded: LoadedModel,
    data: FineTuningData,
    settings: FineTuning,
    seed: int,
    run: Run,
) -> dict[str, Any]:
    """Train a model that has its new head; what the history says of the training.

    `trained` is the model of `loaded`, or what holds it with its adapter.
    """
    task, limit = data.task, position_limit(loaded.model, settings.max_length)
    items, cut = _items(data.train, task, loaded, limit)
    held, _ = _items(data.validation, task, loaded, limit)
    lengths = [len(item["encoded"].ids) for item in items]
    epochs = settings.epochs_of(len(items))
    with tempfile.TemporaryDirectory() as scratch:
        trainer = make_trainer(
            trained,
            training_arguments(
                scratch, settings, run.micro_batch, num_train_epochs=epochs, seed=seed
            ),
            Epochs(items, partial(similar_lengths, lengths, settings.batch_size, seed)),
            Items(held),
            _collator(loaded.special_tokens),
        )
        train_on(trainer, run)
        validation_loss = trainer.evaluate()["eval_loss"]
    if not math.isfinite(validation_loss):
        raise UserError(
            f"fine-tuning diverged, validation loss {validation_loss}; allowed: a finite loss, "
            f"so a learning_rate below {settings.learning_rate}"
        )
    mean, error = final_loss(trainer.state)
    return {
        "micro_batch_size": run.micro_batch,
        "sequences": len(items),
        "sub_words": sum(lengths),
        f"cut_{units(task.kind)}": cut,
        "epochs": epochs,
        "steps": trainer.state.global_step,
        "final_loss": mean,
        "final_loss_error": error,
        "guessing_loss": guessing_loss([item["target"] for item in items]),
        "validation_loss": validation_loss,
        "log": loss_log(trainer.state),
    }
