"""Files of predictions: read, and counted by groups of examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope import metrics
from layerscope.errors import UserError
from layerscope.formats import file_metadata, read_table
from layerscope.statistics import group_sums
from layerscope.variants import parse_variant


@dataclass(frozen=True)
class Predictions:
    """A file of predictions: its metadata, the fine-tuned variant, and its columns."""

    path: Path
    described: dict[str, Any]
    percent: int
    seed: int
    columns: dict[str, list[Any]]


def read_predictions(path: str | Path) -> Predictions:
    """Read a file of predictions.

    Raises:
        UserError: not one, or its variant is not fine-tuned.
    """
    described = file_metadata(path, "predictions")
    percent, seed = parse_variant(described["variant"])
    if seed is None:
        raise UserError(
            f"{path}: variant '{described['variant']}'; allowed: a fine-tuned one, such as f10-s1"
        )
    names = ["example_id", "group_id", "word_index", "label", "predicted"]
    columns = read_table(path, "predictions", names).to_pydict()
    if not columns["label"]:
        raise UserError(f"{path}: no rows; allowed: at least one")
    return Predictions(Path(path), described, percent, seed, columns)


def group_counts(file: Predictions) -> dict[str, metrics.Metric]:
    """Each metric: counts of groups (groups x 3K) and the statistic of their sums.

    Groups are in order of first appearance.

    Raises:
        UserError: a label that the file's metadata do not name.
    """
    columns, names = file.columns, file.described["labels"]
    try:
        if file.described["kind_of_task"] == "nli":
            parts = metrics.nli_metrics(columns["label"], columns["predicted"], names)
        else:
            parts = metrics.ner_metrics(
                columns["label"], columns["predicted"], columns["example_id"], names
            )
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from None
    return {
        name: (group_sums(counts, columns["group_id"]), statistic)
        for name, (counts, statistic) in parts.items()
    }
