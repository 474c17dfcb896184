"""Scores of predictions, with intervals over groups of examples and over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerscope.config.statistics import Statistics
from layerscope.core.kinds import labels_examples
from layerscope.evaluation.prediction_files import Predictions, check_same, group_counts
from layerscope.statistics import metrics
from layerscope.statistics.crossed import crossed_mean
from layerscope.statistics.inference import Floats, Statistic, bootstrap_counts

Row = dict[str, Any]


def confusion(file: Predictions) -> list[Row]:
    """How often each label was predicted as each: labels, or types of entity and `O`.

    Pairs that do not occur are left out, but not those of a label with itself: of many labels most
    pairs never occur.
    """
    names, labels, predicted = (
        file.described["labels"],
        file.columns["label"],
        file.columns["predicted"],
    )
    if not labels_examples(file.described["kind_of_task"]):
        names = [*metrics.entity_types(names), metrics.OUTSIDE]
        labels = [metrics.entity_type(tag) for tag in labels]
        predicted = [metrics.entity_type(tag) for tag in predicted]
    size = len(names)
    cells = metrics.encode(labels, names) * size + metrics.encode(predicted, names)
    same = np.arange(size) * (size + 1)
    places, counts = np.unique(np.append(cells, same), return_counts=True)
    counts -= np.isin(places, same)
    return [
        {
            **_variant(file),
            "label": names[place // size],
            "predicted": names[place % size],
            "count": count,
        }
        for place, count in zip(places.tolist(), counts.tolist(), strict=True)
    ]


def _variant(file: Predictions) -> Row:
    return {
        "variant": file.described["variant"],
        "percent": file.percent,
        "seed": file.seed,
    }


def _with_interval(
    counts: Sequence[Floats], statistic: Statistic, settings: Statistics
) -> tuple[float, float | None, float | None]:
    """A score of one seed, or its mean over seeds; no interval with one group of examples."""
    if len(counts) > 1:
        value, low, high = crossed_mean(counts, statistic, settings.confidence)
        if np.isnan(low):
            return value, None, None
        return value, max(low, 0.0), min(high, 1.0)
    rng = np.random.default_rng(settings.seed)
    return bootstrap_counts(counts, statistic, settings.resamples, settings.confidence, rng)


def score(files: Sequence[Predictions], settings: Statistics) -> dict[str, Any]:
    """Scores and confusion counts of all fine-tuned variants of one model on one task.

    An interval of one variant is a bootstrap over groups of test examples, which are drawn whole;
    all draw the same groups, so that a variant's figures do not depend on which others are there. A
    percent with several seeds also has the mean over seeds, as variant `f{percent}` with seed null,
    whose interval is over groups and seeds (`layerscope.statistics.crossed`).

    Returns:
        `task`, `model`, `kind`, `scores` and `confusion`, for JSON.

    Raises:
        UserError: the files do not belong together.
    """
    check_same(files)
    files = sorted(files, key=lambda file: (file.percent, file.seed))
    counts = [group_counts(file) for file in files]
    scores: list[Row] = []

    def add(members: Sequence[int], variant: Row) -> None:
        for metric, (_, statistic) in counts[members[0]].items():
            arrays: list[Floats] = [counts[member][metric][0] for member in members]
            value, low, high = _with_interval(arrays, statistic, settings)
            scores.append({**variant, "metric": metric, "value": value, "low": low, "high": high})

    by_percent: dict[int, list[int]] = {}
    for place, file in enumerate(files):
        add([place], _variant(file))
        by_percent.setdefault(file.percent, []).append(place)
    for percent, members in by_percent.items():
        if len(members) > 1:
            add(members, {"variant": f"f{percent}", "percent": percent, "seed": None})
    described = files[0].described
    return {
        "task": described["task"],
        "model": described["model"],
        "kind": described["kind_of_task"],
        "scores": scores,
        "confusion": [row for file in files for row in confusion(file)],
    }
