"""Steps of fine-tuning: share of the device's bfloat16 peak, and where the rest goes.

Sequences are all as long as the limit, so that nothing is padding; a second run on sentences as
long as real ones says what padding costs. PyTorch's profiler tells the time of kernels from the
gaps between them, and the optimiser's kernels from the others.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from typing import Any

import common
import shapes
import torch
from common import STATED_PEAK, Made, Row, Setting, row
from measure import spread
from stage_finetuning import Clock
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForTokenClassification

from layerscope.config.training import FineTuning
from layerscope.data.labels import TaskLabels
from layerscope.models.inputs import Encoded
from layerscope.models.memory import free_memory
from layerscope.training.finetuning import _collator, _items
from layerscope.training.order import Epochs, Items, similar_lengths
from layerscope.training.trainer import make_trainer, training_arguments

MODELS = ("BERT-base", "GPT-2-medium")
BATCH = 32
GOAL = 0.45  # of the peak, of BERT-base


class Timer(Clock):
    """The steps after the first, until the device has done the last of them too."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 1 and torch.cuda.is_available():
            torch.cuda.synchronize()
        super().on_step_begin(args, state, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps and torch.cuda.is_available():
            torch.cuda.synchronize()
        super().on_step_end(args, state, control)


def tagger(name: str, setting: Setting) -> Made:
    """A model with a head for entities, in float32 as the library loads it."""
    torch.manual_seed(0)
    config = common.large_config(name, setting)
    config.num_labels = len(shapes.TAGS)
    with torch.device(setting.device):
        model = AutoModelForTokenClassification.from_config(config)
    return common.with_inputs(name, common.fuse_activations(model))


def full_items(count: int, length: int) -> list[dict[str, Any]]:
    """Sequences of so many sub-words, each of them labelled."""
    ids = [4 + (17 * place) % 1000 for place in range(length)]
    words = tuple((place, place + 1) for place in range(length))
    encoded = Encoded(ids, length, (), words)
    return [{"encoded": encoded, "target": [place % 3 for place in range(length)]}] * count


def train(
    made: Made, items: list[Any], steps: int, batch: int, profiled: bool = False
) -> tuple[float, float, Any]:
    """Seconds of the steps after the first, seconds spent on making batches, and the profile."""
    settings = FineTuning(
        learning_rate=2e-5,
        epochs=1,
        batch_size=batch,
        max_length=shapes.LIMIT,
        precision="bfloat16",
    )
    lengths = [len(item["encoded"].ids) for item in items]
    clock, loading = Timer(), 0.0
    together = _collator(made.special_tokens)

    def collate(chosen: Any) -> Any:
        nonlocal loading
        begun = time.perf_counter()
        found = together(chosen)
        loading += time.perf_counter() - begun
        return found

    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = make_trainer(
            made.model,
            training_arguments(scratch, settings, batch, max_steps=steps, seed=0),
            Epochs(items, partial(similar_lengths, lengths, batch, 0)),
            Items(items[:1]),
            collate,
        )
        trainer.add_callback(clock)
        if not profiled:
            trainer.train()
            return clock.seconds, loading, None
        with profile(activities=activities) as found:
            trainer.train()
    return clock.seconds, loading, found


def kernels(found: Any, steps: int, setting: Setting) -> dict[str, float]:
    """Milliseconds of a step in which the device computes, and of those the optimiser's."""
    if not setting.cuda:
        return {}
    busy = optimiser = 0.0
    for event in found.events():
        # A name that code gives to a stretch of time, as optimisers do, spans the kernels below it.
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation:
            busy += event.time_range.elapsed_us()
            name = event.name.lower()
            if "adam" in name or "multi_tensor" in name:
                optimiser += event.time_range.elapsed_us()
    return {"kernels": busy / steps / 1e3, "optimiser": optimiser / steps / 1e3}


def measure(name: str, setting: Setting, peak: float) -> tuple[list[Row], dict[str, float]]:
    """Rows of one model, and its rates."""
    steps, length = (4, 32) if setting.tiny else (40, shapes.LIMIT)
    batch = 4 if setting.tiny else BATCH
    made = tagger(name, setting)
    items = full_items(batch * steps, length)
    train(made, items, 3, batch)
    seconds, loading, _ = train(made, items, steps, batch)
    step = seconds / (steps - 1)
    operations = 3 * made.operations([length] * batch)
    few = min(steps, 4)
    _, _, found = train(made, items, few, batch, profiled=True)
    spent = kernels(found, few, setting)

    table = shapes.tagged(batch * steps, seed=3)
    real, _ = _items(table, TaskLabels("ner", shapes.TAGS), made, shapes.LIMIT)
    lengths = [len(item["encoded"].ids) for item in real]
    order = similar_lengths(lengths, batch, 0, 0)
    padded = sum(
        len(order[at : at + batch]) * max(lengths[place] for place in order[at : at + batch])
        for at in range(0, len(order), batch)
    )
    rounds = min(steps, -(-len(real) // batch))
    timed = [lengths[place] for place in order[batch : rounds * batch]]  # those after the first
    train(made, real, rounds, batch)  # each batch has a shape of its own, and memory to be found
    ragged_seconds, _, _ = train(made, real, rounds, batch)
    small_seconds, _, _ = train(made, full_items(4 * steps, 8), steps, 1)

    reached = operations / step
    goal = name == "BERT-base" and not setting.tiny
    rows = [
        row(f"{name}: step of {batch} x {length}", 1e3 * step, "ms"),
        row(f"{name}: of the stated peak", 100 * reached / STATED_PEAK, "%",
            f"{100 * GOAL:.0f} %" if goal else "", reached / STATED_PEAK >= GOAL if goal else None),
        row(f"{name}: of the matrix product", 100 * reached / peak, "%"),
        row(f"{name}: making batches", 1e3 * loading / steps, "ms a step"),
        row(f"{name}: real sentences, padding", 100 * (1 - sum(lengths) / padded), "%"),
        row(f"{name}: real sentences", sum(timed) / ragged_seconds, "sub-words/s"),
        row(f"{name}: step of 1 x 8", 1e3 * small_seconds / (steps - 1), "ms",
            "what starting kernels takes"),
    ]  # fmt: skip
    if spent:
        gaps = max(1e3 * step - spent["kernels"], 0.0)
        rows += [
            row(f"{name}: kernels", spent["kernels"], "ms a step"),
            row(f"{name}: of these the optimiser's", spent["optimiser"], "ms a step"),
            row(f"{name}: gaps between kernels", gaps, "ms a step"),
        ]
    layers = made.model.config.num_hidden_layers
    return rows, {"training": reached, "step": small_seconds / (steps - 1) / layers}


def run(setting: Setting) -> dict[str, Any]:
    """Measure each model."""
    peak = common.product_rate(setting)
    rows = [row("matrix product, bfloat16", peak / 1e12, "TFLOP/s")]
    rates = []
    for name in MODELS:
        found, rate = measure(name, setting, peak)
        rows += found
        rates.append(rate)
        free_memory()
    slowest = {
        "training": min(rate["training"] for rate in rates),
        "step": spread([rate["step"] for rate in rates])["high"],
    }
    return {"rows": rows, "rates": slowest}


if __name__ == "__main__":
    common.main(run)
