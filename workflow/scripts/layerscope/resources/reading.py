"""Time and memory of jobs that read much and compute little."""

from __future__ import annotations

from layerscope.config import jobs
from layerscope.config.schema import Study
from layerscope.resources.probes import TORCH
from layerscope.resources.sizes import ModelSize, TaskSize

#: MB of weights that are read and compared in a second.
WEIGHTS_READ = 60.0
#: Words of a data set that a tokenizer takes apart in a second.
TOKENISED = 5e4
#: MB of a word of the data, and of its lengths.
WORD = 3e-4


def weight_change(study: Study, model: str, size: ModelSize) -> float:
    """Seconds in which two files of weights of each fine-tuned variant are read.

    Of an adapter it is one file, its base's. One matrix is in memory, of a very large one some rows
    at a time.
    """
    files = 1 if study.models[model].adapter else 2
    read = files * 4 * size.parameters / 1e6 * len(jobs.finetuned_variants(study))
    return read / WEIGHTS_READ


def describe_task(study: Study, task: TaskSize) -> tuple[int, float]:
    """MB, and seconds in which the examples of a task are tokenised for every model."""
    words = sum(task.examples.values()) * task.words
    return int(TORCH + WORD * words), len(study.models) * words / TOKENISED
