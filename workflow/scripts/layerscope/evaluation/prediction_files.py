"""Files of predictions: read, and counted by groups of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from layerscope.core.errors import UserError
from layerscope.core.formats import file_metadata, read_table
from layerscope.core.variants import parse_variant
from layerscope.statistics import metrics
from layerscope.statistics.inference import group_sums


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


def read_probabilities(file: Predictions) -> npt.NDArray[np.float64]:
    """Probabilities of a file's rows: rows x labels, in the order of its label names.

    Every row has them: no word is lost when sentences are cut into windows.

    Raises:
        UserError: a row lacks a probability of each label, or they do not sum to 1.
    """
    names = file.described["labels"]
    column = read_table(file.path, "predictions", ["probabilities"])["probabilities"]
    column = column.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    bad = lengths != len(names)
    if not bad.any():
        found = column.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
        found = found.reshape(len(lengths), len(names))
        sums = found.sum(axis=1)
        bad = ~((found >= 0).all(axis=1) & (np.abs(sums - 1) < 1e-3))  # true of NaN too
        if not bad.any():
            return found
    row = int(np.flatnonzero(bad)[0])
    example, word = (file.columns[name][row] for name in ("example_id", "word_index"))
    raise UserError(
        f"{file.path}: probabilities {column[row].as_py()} of example {example!r}, word {word}; "
        f"allowed: {len(names)} from 0 to 1 that sum to 1"
    )


def check_same_examples(files: Sequence[Predictions], keys: Sequence[str]) -> None:
    """All files must be on the same examples, and have the same metadata below some keys.

    Raises:
        UserError: they are not.
    """
    first = files[0]
    for file in files:
        for key in keys:
            if file.described[key] != first.described[key]:
                raise UserError(
                    f"{file.path}: {key} {file.described[key]!r}; "
                    f"allowed: {first.described[key]!r}, as in {first.path}"
                )
        for key in ("example_id", "group_id", "word_index", "label"):
            if file.columns[key] != first.columns[key]:
                raise UserError(
                    f"{file.path}: column '{key}' differs from {first.path}; "
                    "allowed: predictions of the same examples in the same order"
                )


def check_same(files: Sequence[Predictions]) -> None:
    """All files must be of one model and task, of different variants, on the same examples.

    Raises:
        UserError: they are not.
    """
    check_same_examples(files, ("task", "model", "kind_of_task", "labels"))
    seen = set()
    for file in files:
        variant = (file.percent, file.seed)
        if variant in seen:
            raise UserError(
                f"{file.path}: variant '{file.described['variant']}' twice; allowed: once"
            )
        seen.add(variant)


def group_counts(file: Predictions) -> dict[str, metrics.Metric]:
    """Each metric: counts of groups (groups x 3K) and the statistic of their sums.

    Groups are in order of first appearance.

    Raises:
        UserError: a label that the file's metadata do not name.
    """
    columns, names = file.columns, file.described["labels"]
    try:
        answers = columns["label"], columns["predicted"], columns["example_id"]
        parts = metrics.metrics_of(file.described["kind_of_task"], *answers, names)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from None
    return {
        name: (group_sums(counts, columns["group_id"]), statistic)
        for name, (counts, statistic) in parts.items()
    }
