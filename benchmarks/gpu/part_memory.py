"""Batches that are too large on purpose: halved, said in the log, and the same result.

On a GPU the process may use less memory than the whole batch takes, so that PyTorch itself fails;
on a processor, and for what cuBLAS says, the failure is made up.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import common
import numpy as np
import shapes
import torch
from common import Made, Row, Setting, row, within
from part_parity import relative, small
from stage_attention import tuned
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from layerscope.analysis.interventions.passes import Intervened, Intervention
from layerscope.config.extraction import Activations, Attention
from layerscope.config.training import FineTuning
from layerscope.data.labels import TaskLabels
from layerscope.extraction.activations import sequence_vectors
from layerscope.extraction.attention import choose_examples, compare_attention
from layerscope.models.forward import forward
from layerscope.models.inputs import encode_text
from layerscope.models.memory import free_memory
from layerscope.models.pooling import sequence_means
from layerscope.training.finetuning import _collator, _items
from layerscope.training.order import Epochs, Items
from layerscope.training.trainer import Run, make_trainer, training_arguments, within_memory

CUBLAS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
HALVED = "out of memory with"
ROOM = 0.75  # of what a whole batch needs beside the weights; half a batch fits
TOLERANCE = 1e-3


class _Messages(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextmanager
def messages() -> Iterator[list[str]]:
    """What the library logs in the meantime."""
    handler = _Messages()
    logger = logging.getLogger("layerscope")
    logger.addHandler(handler)
    try:
        yield handler.said
    finally:
        logger.removeHandler(handler)


@contextmanager
def failing(model: Any, most: int, text: str) -> Iterator[None]:
    """A model that has no memory for more than so many sequences."""
    own = model.forward

    def limited(*arguments: Any, **options: Any) -> Any:
        if len(options["input_ids"]) > most:
            raise RuntimeError(text)
        return own(*arguments, **options)

    model.forward = limited
    try:
        yield
    finally:
        model.forward = own


@contextmanager
def little_memory(
    setting: Setting, model: Any, run: Callable[[], Any], most: int
) -> Iterator[None]:
    """Less memory than `run` takes; without a GPU a model that fails above `most` sequences."""
    if not setting.cuda:
        with failing(model, most, "CUDA out of memory. Tried to allocate 2.00 GiB."):
            yield
        return
    free_memory()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    # What is in use at once, and not what is reserved: of that PyTorch gives back what is free
    # before it fails, so that a whole batch may well fit in less.
    needed = torch.cuda.max_memory_allocated() - before
    free_memory()
    total = torch.cuda.get_device_properties(0).total_memory
    limit = torch.cuda.memory_allocated() + ROOM * needed
    torch.cuda.set_per_process_memory_fraction(min(limit / total, 1.0))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        free_memory()


def halved(what: str, setting: Setting, model: Any, run: Callable[[], Any], most: int) -> list[Row]:
    """Whether a run with little memory says so once and gives what one with enough gives."""
    expected = run()
    with little_memory(setting, model, run, most), messages() as said:
        found = run()
    warned = sum(HALVED in text for text in said)
    return [
        row(f"{what}: halved and said", warned, "times in the log", "at least 1", warned >= 1),
        within(f"{what}: the same result", relative(found, expected), TOLERANCE),
    ]


def encoder(setting: Setting, head: Any = None) -> Made:
    """A model and batches that take some gigabytes on a GPU."""
    if setting.tiny:
        return small("BERT", setting.device, head)
    torch.manual_seed(0)
    config = shapes.BERT_BASE.config(dropout=0.0)
    config.num_labels = 3
    with torch.device(setting.device):  # weights are drawn there, which is faster
        model = (head or common.AutoModel).from_config(config, attn_implementation="eager")
    return common.with_inputs("BERT-base", model.eval())


def texts(setting: Setting, made: Made) -> list[Any]:
    """Sequences for one large pass: on a GPU all as long as the limit, so that none comes apart."""
    if setting.tiny:
        sentences = shapes.sentences(12)
    else:
        sentences = shapes.sentences(768, words=[(shapes.LIMIT, shapes.LIMIT, 1)])
    words = [" ".join(each) for each in sentences]
    return encode_text(made.tokenizer, made.special_tokens, words, shapes.LIMIT)[0]


def extraction(setting: Setting) -> list[Row]:
    """The pass alone, then a pool that takes most, then what cuBLAS says."""
    made = encoder(setting)
    sequences = texts(setting, made)
    settings = Activations(batch_tokens=100_000)
    run = partial(sequence_vectors, made, sequences, settings)
    rows = halved("extraction", setting, made.model, run, len(sequences) // 3)

    expected = run()
    with failing(made.model, len(sequences) // 3, CUBLAS), messages() as said:
        found = run()
    understood = any(HALVED in text for text in said)
    rows.append(row("cuBLAS cannot allocate: halved", "yes" if understood else "no", ok=understood))
    rows.append(within("cuBLAS cannot allocate: the same", relative(found, expected), TOLERANCE))

    def pool(hidden: Any, mask: torch.Tensor) -> torch.Tensor:
        if len(mask) > len(sequences) // 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return sequence_means(hidden, mask)

    with messages() as said:
        found = run([pool])
    understood = any(HALVED in text for text in said)
    rows.append(row("pooling: halved", "yes" if understood else "no", ok=understood))
    rows.append(within("pooling: the same result", relative(found, expected), TOLERANCE))
    return rows


def attention(setting: Setting) -> list[Row]:
    """All measures of a batch whose maps do not fit."""
    made = encoder(setting)
    count = 9 if setting.tiny else 192
    after = tuned(made.model.cpu()).to(setting.device)
    before = made.model.to(setting.device)
    for model in (before, after):
        model.set_attn_implementation("eager")
    settings = Attention(examples=count, max_length=shapes.LIMIT, batch_examples=count)
    table = shapes.tagged(count)
    examples = choose_examples(made, table, "ner", settings)
    changed = dataclasses.replace(made, model=after)

    def run() -> Any:
        return compare_attention(examples, changed, before, None, count)["value"]

    return halved("attention", setting, after, run, count // 3)


def intervention(setting: Setting) -> list[Row]:
    """Answers of a model with heads masked."""
    made = encoder(setting, AutoModelForSequenceClassification)
    sequences = texts(setting, made)
    changed = Intervened(made.model, [Intervention("heads-most", heads=[(1, 0), (2, 3)])])

    def run() -> Any:
        found: dict[int, Any] = {}
        for indices, answers in forward(
            changed, sequences, made.special_tokens, 100_000, "float32",
            lambda _, __, output: [logits.float().cpu().numpy() for logits in output],
        ):  # fmt: skip
            for place, index in enumerate(indices):
                found[index] = [answer[place] for answer in answers]
        return np.stack([found[index] for index in range(len(sequences))])

    return halved("intervention", setting, changed, run, len(sequences) // 3)


def training(setting: Setting) -> list[Row]:
    """Plain descent without dropout: losses of a few steps, whole batches or parts of them."""
    batch, steps = (8, 4) if setting.tiny else (128, 3)
    settings = FineTuning(
        learning_rate=1e-2, epochs=1, batch_size=batch, max_length=shapes.LIMIT, warmup_ratio=0
    )
    made = encoder(setting, AutoModelForTokenClassification)
    task = TaskLabels("ner", shapes.TAGS)
    items, _ = _items(shapes.tagged(batch * steps), task, made, shapes.LIMIT)
    del made
    sizes: list[int] = []

    def attempt(run: Run, most: int) -> list[float]:
        sizes.append(run.micro_batch)
        made = encoder(setting, AutoModelForTokenClassification)
        with tempfile.TemporaryDirectory() as scratch:
            trainer = make_trainer(
                made.model,
                training_arguments(
                    scratch, settings, run.micro_batch, max_steps=steps, seed=0, optim="sgd"
                ),
                Epochs(items, lambda _: range(len(items))),
                Items(items[:1]),
                _collator(made.special_tokens),
            )
            with failing(made.model, most, CUBLAS):
                trainer.train()
        return [each["loss"] for each in trainer.state.log_history if "loss" in each]

    def run(most: int = batch) -> list[float]:
        return within_memory(partial(attempt, most=most), settings, Path(), None)

    expected = run()
    if setting.cuda:
        model = None
        with little_memory(setting, model, run, batch), messages() as said:
            found = run()
    else:
        with messages() as said:
            found = run(batch // 2)
    warned = sum(HALVED in text for text in said)
    return [
        row("training: halved and said", warned, "times in the log", "at least 1", warned >= 1),
        row("training: sequences in a pass, at last", sizes[-1], ok=sizes[-1] < batch),
        within("training: the same losses", relative(found, expected), TOLERANCE),
    ]


def run(setting: Setting) -> dict[str, Any]:
    """All of them."""
    rows = []
    for stage in (extraction, attention, intervention, training):
        rows += stage(setting)
        free_memory()
    return {"rows": rows}


if __name__ == "__main__":
    common.main(run)
