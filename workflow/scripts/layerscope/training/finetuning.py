"""Fine-tuning with the Hugging Face Trainer: the whole model and a new classification head.

Sequence classification for NLI; token classification for NER, where one sub-word stands for its
word: the first for an encoder (Devlin et al. 2019), the last for a decoder, which has only then
read the whole word.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from transformers import set_seed

from layerscope.config.training import FineTuning
from layerscope.core.errors import UserError
from layerscope.core.files import write_json
from layerscope.data.iob import merge_table, merged_labels
from layerscope.models.batching import collate
from layerscope.models.inputs import (
    Encoded,
    SpecialTokens,
    cut_words,
    encode_pairs,
    encode_words,
    labelled_position,
    read_special_tokens,
    tokenise_words,
)
from layerscope.models.load import load_tokenizer, load_with_head, position_limit, uses_bfloat16
from layerscope.training.checkpoints import Checkpoint, Checkpoints
from layerscope.training.order import Epochs, Items, similar_lengths
from layerscope.training.trainer import (
    IGNORED,
    loss_log,
    make_trainer,
    train_on,
    training_arguments,
    within_memory,
)


def _items(
    table: pa.Table,
    kind: str,
    labels: Sequence[str],
    tokenizer: Any,
    special_tokens: SpecialTokens,
    architecture: str,
    limit: int,
) -> tuple[list[dict[str, Any]], int]:
    """Training items, and how many pairs or words are cut."""
    number = {name: index for index, name in enumerate(labels)}
    rows = table.to_pydict()
    if kind == "nli":
        encoded, cut = encode_pairs(
            tokenizer, special_tokens, rows["premise"], rows["hypothesis"], limit
        )
        targets: list[Any] = [number[label] for label in rows["label"]]
        pairs = zip(encoded, targets, strict=True)
        return [{"encoded": e, "target": t} for e, t in pairs], cut
    words_of_all = [word for words in rows["tokens"] for word in words]
    pieces = tokenise_words(tokenizer, special_tokens, words_of_all)
    items = []
    for words, tags in zip(rows["tokens"], rows["tags"], strict=True):
        done = 0
        for window in encode_words(pieces, special_tokens, words, limit):
            target = [IGNORED] * len(window.ids)
            for span, tag in zip(window.words, tags[done:], strict=False):
                target[labelled_position(span, architecture)] = number[tag]
            done += len(window.words)
            items.append({"encoded": window, "target": target})
    return items, cut_words(pieces, special_tokens, words_of_all, limit)


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


def finetune(
    folder: str | Path,
    out: Path,
    train: pa.Table,
    validation: pa.Table,
    *,
    kind: str,
    architecture: str,
    labels: Sequence[str],
    settings: FineTuning,
    seed: int,
    merge_tags: bool = False,
    checkpoints: Checkpoints | None = None,
) -> dict[str, Any]:
    """Fine-tune a model and save model, tokenizer and `history.json` in `out`.

    A training that goes on from a checkpoint ends with the same bytes as one that was never killed.

    Args:
        folder: the pre-trained model.
        out: an existing folder to write to.
        train: prepared rows (formats "nli" or "ner") to train on.
        validation: prepared rows for the loss in the history; nothing is chosen by it.
        kind: "nli" or "ner".
        architecture: "encoder" or "decoder".
        labels: label names; their order gives the numbers of the head's outputs.
        settings: of the training.
        seed: of the new head, the order of the examples and dropout.
        merge_tags: whether the head learns types (`iob.merged_labels`) in place of IOB2 tags.
        checkpoints: where to save on the way and where to go on; None for nowhere.

    Returns:
        The history: settings, counts, and the loss by step.

    Raises:
        UserError: no model in `folder`, nothing to train on, a loss that is not finite, too little
            memory for one sequence, or another process that has begun the same job.
    """
    for name, table in (("train on", train), ("validate with", validation)):
        if not table.num_rows:
            raise UserError(f"no example to {name}; allowed: at least one")
    if merge_tags:
        train, validation = merge_table(train), merge_table(validation)
        labels = merged_labels(labels)
    tokenizer = load_tokenizer(folder)
    special_tokens = read_special_tokens(tokenizer, architecture)

    def attempt(micro_batch: int, checkpoint: Checkpoint | None) -> dict[str, Any]:
        set_seed(seed)
        model = load_with_head(folder, tokenizer, kind, labels)
        limit = position_limit(model, settings.max_length)
        items, cut = _items(train, kind, labels, tokenizer, special_tokens, architecture, limit)
        held, _ = _items(validation, kind, labels, tokenizer, special_tokens, architecture, limit)
        lengths = [len(item["encoded"].ids) for item in items]
        with tempfile.TemporaryDirectory() as scratch:
            trainer = make_trainer(
                model,
                training_arguments(
                    scratch, settings, micro_batch, num_train_epochs=settings.epochs, seed=seed
                ),
                Epochs(items, partial(similar_lengths, lengths, settings.batch_size, seed)),
                Items(held),
                _collator(special_tokens),
            )
            train_on(trainer, checkpoints, checkpoint, out)
            validation_loss = trainer.evaluate()["eval_loss"]
        if not math.isfinite(validation_loss):
            raise UserError(
                f"fine-tuning diverged, validation loss {validation_loss}; allowed: a finite loss, "
                f"so a learning_rate below {settings.learning_rate}"
            )
        model.save_pretrained(out)
        return {
            "micro_batch_size": micro_batch,
            "sequences": len(items),
            "sub_words": sum(lengths),
            "cut_pairs" if kind == "nli" else "cut_words": cut,
            "steps": trainer.state.global_step,
            "validation_loss": validation_loss,
            "log": loss_log(trainer.state),
        }

    history = {
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "architecture": architecture,
        "bfloat16": uses_bfloat16(settings.precision),
        "labels": list(labels),
        "examples": train.num_rows,
        **within_memory(attempt, settings, checkpoints),
    }
    tokenizer.save_pretrained(out)
    write_json(out / "history.json", history)
    return history
