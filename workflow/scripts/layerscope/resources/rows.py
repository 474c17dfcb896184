"""How many rows and sub-words jobs read."""

from __future__ import annotations

import math

from layerscope.config import jobs
from layerscope.config.schema import Study
from layerscope.resources.sizes import SUBWORDS, TaskSize, rows_in


def subwords(task: TaskSize, most: int) -> float:
    """Sub-words of an example on average, special tokens included."""
    return min(task.words * SUBWORDS, most)


def probed_rows(study: Study, size: TaskSize, task: str) -> tuple[list[float], float]:
    """Rows of activations that a task's probes learn from, by split, and are tested on."""
    entry = study.tasks[task]
    rows = rows_in(entry, size)
    limit = entry.probe_limit or math.inf
    train, reserved = size.examples["train"], jobs.reserved(study, task) / 100
    examples = {**size.examples, "train": train * (1 - reserved), "reserved": train * reserved}
    learned = [min(examples[s] * rows, limit) for s in jobs.probe_rows(study, task)]
    return learned, min(size.examples["test"] * rows, entry.probe_test_limit or math.inf)
