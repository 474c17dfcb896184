"""How scores changed from one study to another, from their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.config.statistics import Statistics
from layerscope.core.measures import BASELINES
from layerscope.core.variants import parse_variant
from layerscope.evaluation.prediction_files import Predictions, group_counts, read_predictions
from layerscope.statistics.inference import mean_over_seeds, paired_difference, unpaired_difference

Row = dict[str, Any]
Key = tuple[str, str, int]  # task, model or baseline, percent
Files = dict[Key, dict[int, Path]]  # predictions by seed

PAIRED, UNPAIRED = "paired", "unpaired"
_EXAMPLE = ("example_id", "word_index", "group_id", "label")


def find_predictions(results: Path) -> Files:
    """Files of predictions of a study, by what they are of."""
    found: Files = {}
    for path in sorted(results.glob("predictions/*/*/*.parquet")):
        percent, seed = parse_variant(path.stem)
        if seed is not None:
            task, model = path.parts[-3:-1]
            found.setdefault((task, model, percent), {})[seed] = path
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def _place(key: Key) -> tuple[str, bool, str, int]:
    """Models before baselines."""
    task, model, percent = key
    return task, model in BASELINES, model, percent


def compare_scores(a: Path, b: Path, settings: Statistics) -> dict[str, list[Any]]:
    """Scores of two studies, row by row.

    Args:
        a, b: folders of results.
        settings: of the bootstrap.

    Returns:
        `rows` as in `compare_predictions`, each with `task`, `model` and `percent`; and these
        three, joined, of what only one has: `only_a`, `only_b`.

    Raises:
        UserError: a file that is none of predictions.
    """
    files_a, files_b = find_predictions(a), find_predictions(b)
    rows, only_a, only_b = [], [], []
    for key in sorted({*files_a, *files_b}, key=_place):
        found: list[Row] = []
        if key in files_a and key in files_b:
            found = compare_predictions(_read(files_a[key]), _read(files_b[key]), settings)
        task, model, percent = key
        rows += [{"task": task, "model": model, "percent": percent, **row} for row in found]
        if not found:  # in one study only, or tasks of different kinds under one name
            only_a += [f"{task} {model} {percent}"] if key in files_a else []
            only_b += [f"{task} {model} {percent}"] if key in files_b else []
    return {"rows": rows, "only_a": only_a, "only_b": only_b}


def _read(files: Mapping[int, Path]) -> dict[int, Predictions]:
    return {seed: read_predictions(path) for seed, path in files.items()}


def compare_predictions(
    a: Mapping[int, Predictions], b: Mapping[int, Predictions], settings: Statistics
) -> list[Row]:
    """How much each metric of one model changed, as a mean over seeds.

    Where both sides predict the same examples, the seeds that both have are compared, and a
    resample draws the same groups and seeds of both. Else all seeds of each side are, and the
    sides are drawn by themselves.

    Args:
        a, b: predictions by seed.
        settings: of the bootstrap.

    Returns:
        `metric`, `a`, `b`, `difference` (b - a) with `low` and `high`, `excludes_0`, `how`
        (`paired` or `unpaired`), and the seeds that count: `seeds_a`, `seeds_b`.
    """
    seeds_a, seeds_b, how = sorted(a), sorted(b), UNPAIRED
    shared = sorted(a.keys() & b.keys())
    if shared:
        aligned = align([a[seed] for seed in shared] + [b[seed] for seed in shared])
        if aligned:
            seeds_a = seeds_b = shared
            how = PAIRED
            a = dict(zip(shared, aligned[: len(shared)], strict=True))
            b = dict(zip(shared, aligned[len(shared) :], strict=True))
    counts_a = [group_counts(a[seed]) for seed in seeds_a]
    counts_b = [group_counts(b[seed]) for seed in seeds_b]
    rows = []
    for metric, (_, statistic) in counts_a[0].items():
        if metric not in counts_b[0]:
            continue
        before = [counts[metric][0] for counts in counts_a]
        after = [counts[metric][0] for counts in counts_b]
        of = paired_difference if how == PAIRED else unpaired_difference
        difference, low, high = of(
            before,
            after,
            statistic,
            settings.resamples,
            settings.confidence,
            np.random.default_rng(settings.seed),
        )
        rows.append(
            {
                "metric": metric,
                "a": mean_over_seeds(before, statistic),
                "b": mean_over_seeds(after, statistic),
                "difference": difference,
                "low": low,
                "high": high,
                "excludes_0": low > 0 or high < 0,
                "how": how,
                "seeds_a": seeds_a,
                "seeds_b": seeds_b,
            }
        )
    return rows


def align(files: Sequence[Predictions]) -> list[Predictions] | None:
    """Predictions with their rows in the order of the first; None if examples are not the same.

    Examples are the same if ids, words, groups and labels are.
    """
    wanted = _examples(files[0])
    found = []
    for file in files:
        if file.described["kind_of_task"] != files[0].described["kind_of_task"]:
            return None
        examples = _examples(file)
        if examples == wanted:
            found.append(file)
            continue
        row = {example: place for place, example in enumerate(examples)}
        if len(row) != len(wanted) or len(examples) != len(wanted) or row.keys() != set(wanted):
            return None
        columns = {
            name: [values[row[example]] for example in wanted]
            for name, values in file.columns.items()
        }
        found.append(replace(file, columns=columns))
    return found


def _examples(file: Predictions) -> list[tuple[Any, ...]]:
    return list(zip(*(file.columns[name] for name in _EXAMPLE), strict=True))
