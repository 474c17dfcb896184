"""What the page on a task's data is given: whose tokenizers, and how each model reads the data."""

from __future__ import annotations

from layerscope.config import jobs
from layerscope.config.schema import Study
from layerscope.core.files import canonical_json


def tokenizer_of(study: Study, model: str) -> str:
    """The model whose folder has a model's tokenizer before the model itself is there.

    A model that is pre-trained further keeps the tokenizer of its base.
    """
    while base := jobs.base_of(study, model):
        model = base
    return jobs.stored_as(study, model)


def description_settings(study: Study, task: str) -> str:
    """What the page on a task's data depends on besides the data: how each model reads it."""
    return canonical_json(
        {
            "credentialed": getattr(study.tasks[task].source, "credentialed", False),
            "views": sorted(jobs.views(study, task)),
            "activations": study.activations.max_length,
            "models": {
                name: {
                    "tokenizer": tokenizer_of(study, name),
                    "architecture": model.architecture,
                    "fine_tuning": jobs.prediction_limit(study, task, name),
                }
                for name, model in study.models.items()
            },
        }
    )
