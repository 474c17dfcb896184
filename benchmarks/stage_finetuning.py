"""Fine-tuning steps of a model for named entities.

- layerscope: its Trainer (`make_trainer`, `training_arguments`), batches of similar length.
- plain: the Trainer of transformers as it comes, the same batch size, batches in the order of the
  data, each padded to its longest.
- published: the Trainer as it comes, batches of 4, in the order of the data.
- limit: a matrix product, against three times the products of a forward pass (a backward pass has
  two for each). The steps of the optimiser count as loss.

Steps are timed from the second on, since the first sets up the state of the optimiser, which a
training does once; so the clock is that of the Trainer's steps and not that of `take_turns`.
Equality: losses of the first steps against a loop without any Trainer, on the same batches, without
dropout.

    python benchmarks/stage_finetuning.py [--smoke] [--out FILE]
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import shapes
import stage
import torch
from transformers import (
    AutoModelForTokenClassification,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    get_linear_schedule_with_warmup,
)

from layerscope.config.training import FineTuning
from layerscope.data.labels import TaskLabels
from layerscope.training.finetuning import _collator, _items
from layerscope.training.order import Epochs, Items, similar_lengths
from layerscope.training.trainer import make_trainer, training_arguments

SETTINGS = FineTuning(learning_rate=2e-5, epochs=1, batch_size=16, max_length=shapes.LIMIT)
PUBLISHED_BATCH = 4
#: Of the check of the losses: at a rate from the first step on at which they change.
CHECKED = SETTINGS.model_copy(update={"learning_rate": 2e-4, "warmup_ratio": 0.0})
TOLERANCE = 1e-4  # of a loss
#: Sentences that batches are made of (as many as are sorted together), and steps of a turn: of
#: layerscope and plain, and of published.
SIZES = {"full": (shapes.BERT_BASE, 800, 6, 5), "smoke": (shapes.TINY_BERT, 800, 4, 4)}
CHECKED_SENTENCES = 48
TURNS = {"full": 3, "smoke": 2}
STEPS_CHECKED = 3


class Clock(TrainerCallback):
    """Says how long the steps after the first took."""

    begun = 0.0
    seconds = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 1:
            self.begun = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.seconds = time.perf_counter() - self.begun


@dataclass(frozen=True)
class Way:
    """Something that trains, and the sub-words of each sentence of its steps after the first."""

    train: Callable[[str], Trainer]
    lengths: list[int]


def tagger(shape: shapes.Shape, dropout: float | None = None) -> PreTrainedModel:
    """The shape with a head for every sub-word."""
    torch.manual_seed(0)
    config = shape.config(dropout)
    config.num_labels = len(shapes.TAGS)
    return AutoModelForTokenClassification.from_config(config)


def items_of(shape: shapes.Shape, count: int) -> list[dict[str, Any]]:
    """Inputs and targets of so many sentences, as fine-tuning makes them."""
    task = TaskLabels("ner", shapes.TAGS)
    return _items(shapes.tagged(count), task, shapes.loaded(shape), shapes.LIMIT)[0]


def lengths_of(items: list[dict[str, Any]]) -> list[int]:
    """Sub-words of each."""
    return [len(item["encoded"].ids) for item in items]


def ours(
    model: PreTrainedModel,
    special_tokens: Any,
    items: list[dict[str, Any]],
    steps: int,
    scratch: str,
    settings: FineTuning = SETTINGS,
) -> Trainer:
    """The library's Trainer, for so many steps."""
    order = partial(similar_lengths, lengths_of(items), settings.batch_size, 0)
    return make_trainer(
        model,
        training_arguments(scratch, settings, settings.batch_size, max_steps=steps, seed=0),
        Epochs(items, order),
        Items(items[:1]),
        _collator(special_tokens),
    )  # fmt: skip


def plain(
    model: PreTrainedModel,
    special_tokens: Any,
    items: list[dict[str, Any]],
    batch: int,
    steps: int,
    scratch: str,
) -> Trainer:
    """The Trainer as it comes, but for what it would write and print."""
    arguments = TrainingArguments(
        output_dir=scratch,
        learning_rate=SETTINGS.learning_rate,
        max_steps=steps,
        per_device_train_batch_size=batch,
        train_sampling_strategy="sequential",
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=Items(items),
        data_collator=_collator(special_tokens),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def check_losses(shape: shapes.Shape) -> dict[str, dict[str, float]]:
    """Losses of the library's Trainer and of a loop on the same batches, without dropout."""
    items, special_tokens = items_of(shape, CHECKED_SENTENCES), shapes.special_tokens(shape)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = ours(tagger(shape, 0.0), special_tokens, items, STEPS_CHECKED, scratch, CHECKED)
        trainer.train()
    history = trainer.state.log_history
    found = [entry["loss"] for entry in history if "loss" in entry]
    del trainer
    gc.collect()

    model = tagger(shape, 0.0).train()
    decayed = [weights for weights in model.parameters() if weights.ndim > 1]
    others = [weights for weights in model.parameters() if weights.ndim == 1]
    optimiser = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": CHECKED.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=CHECKED.learning_rate,
    )
    schedule = get_linear_schedule_with_warmup(optimiser, 0, STEPS_CHECKED)
    order = similar_lengths(lengths_of(items), CHECKED.batch_size, 0, 0)
    expected = []
    for step in range(STEPS_CHECKED):
        at = step * CHECKED.batch_size
        chosen = [items[index] for index in order[at : at + CHECKED.batch_size]]
        loss = model(**_collator(special_tokens)(chosen)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        expected.append(loss.item())
    assert max(expected) > min(expected) + 100 * TOLERANCE, "losses that do not change say nothing"
    return stage.equal("losses: layerscope, loop", found, expected, TOLERANCE)


def take_turns(
    ways: dict[str, Way], limit: Callable[[], None], turns: int
) -> tuple[dict[str, list[float]], list[float]]:
    """As `measure.take_turns`, by the Trainers' clocks: seconds of the ways and of the limit."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    multiplied = []
    for turn in range(turns):
        for name in list(ways) if turn % 2 == 0 else list(reversed(ways)):
            clock = Clock()
            with tempfile.TemporaryDirectory() as scratch:
                trainer = ways[name].train(scratch)
                trainer.add_callback(clock)
                gc.collect()
                trainer.train()
            seconds[name].append(clock.seconds)
            del trainer
        gc.collect()
        begun = time.perf_counter()
        limit()
        multiplied.append(time.perf_counter() - begun)
    return seconds, multiplied


def run(size: str) -> dict[str, Any]:
    """Measure; `size` is "full" or "smoke"."""
    shape, count, steps, few_steps = SIZES[size]
    same = check_losses(shape)
    items, special_tokens = items_of(shape, count), shapes.special_tokens(shape)
    lengths, batch = lengths_of(items), SETTINGS.batch_size
    order = similar_lengths(lengths, batch, 0, 0)
    model = tagger(shape)  # its weights move on from turn to turn, which takes no other time
    ways = {
        "layerscope": Way(
            lambda scratch: ours(model, special_tokens, items, steps, scratch),
            [lengths[index] for index in order[batch : steps * batch]],
        ),
        "plain": Way(
            lambda scratch: plain(model, special_tokens, items, batch, steps, scratch),
            lengths[batch : steps * batch],
        ),
        "published": Way(
            lambda scratch: plain(
                model, special_tokens, items, PUBLISHED_BATCH, few_steps, scratch
            ),
            lengths[PUBLISHED_BATCH : few_steps * PUBLISHED_BATCH],
        ),
    }
    multiply, operations = stage.product(size)
    multiply()
    seconds, multiplied = take_turns(ways, multiply, TURNS[size])
    figures = {
        name: stage.way(sum(way.lengths), seconds[name], "sub-words/s")
        for name, way in ways.items()
    }
    limit = {
        name: stage.share(3 * shape.flops(way.lengths), seconds[name], operations, multiplied)
        for name, way in ways.items()
    }
    return {
        "stage": "finetuning",
        "shape": f"{shape.name} with a head for entities, {count} sentences, of which {steps - 1} "
        f"batches of {batch} (published: {few_steps - 1} of {PUBLISHED_BATCH}) are timed; "
        "throughput is compared",
        "equal": same,
        "ways": figures
        | {"matrix product": stage.way(operations / 1e9, multiplied, "GFLOP/s")},
        "ratios": {
            f"layerscope / {name}": stage.faster(figures["layerscope"], figures[name])
            for name in ("plain", "published")
        },
        "limit": limit,
        "goal": "85 % of the matrix product",
        "reached": limit["layerscope"]["median"] >= 0.85,
        "notes": "float32, dropout as in BERT, AdamW, clipping at 1; the steps after the first, "
        "which has the longest sentences in layerscope; the optimiser's steps are in the time",
    }  # fmt: skip


if __name__ == "__main__":
    stage.main(run)
