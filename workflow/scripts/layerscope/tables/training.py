"""A part of the table of trainings: all fine-tuned variants of a model on a task."""

from __future__ import annotations

from pathlib import Path

from layerscope.core.files import read_json
from layerscope.core.table_files import Row, Sources, Table, path_parts, variant_keys


def training_row(folder: str) -> Row:
    """What the history of a fine-tuned model, in …/{task}/{model}/{variant}, says of its training.

    A training has `learned` if its loss at the end, the mean over the last fifth of its steps, lies
    more than two standard errors below that of guessing: the entropy of the labels.
    """
    history = read_json(Path(folder) / "history.json")
    mean, error = history["final_loss"], history["final_loss_error"]
    return {
        **variant_keys(*path_parts(folder, ("task", "model", "variant"))),
        "steps": history["steps"],
        "epochs": history["epochs"],
        "examples": history["examples"],
        "training_loss": mean,
        "training_loss_error": error,
        "guessing_loss": history["guessing_loss"],
        "validation_loss": history["validation_loss"],
        "learned": error is not None and mean + 2 * error < history["guessing_loss"],
    }


def tabulate(sources: Sources) -> dict[str, Table]:
    """The part, from the folders of fine-tuned models."""
    return {"training": Table([[training_row(folder) for folder in sources.files]])}
