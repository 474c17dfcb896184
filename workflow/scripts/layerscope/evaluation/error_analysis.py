"""What a single score does not say: calibration, F1 of each class, and of entities by novelty.

- Calibration: expected calibration error (Naeini et al. 2015), its bins, and the score of Brier
  (1950) for several classes. Confidence is the probability of what was predicted.
- F1 of each label, or type of entity (NER, whole entities).
- Entities that the training sample of the variant has with the same type and the same words in
  lower case (seen), and those that it has not (unseen; Augenstein et al. 2017). A predicted entity
  is seen or unseen by its own words and type, as a true one is: each split has its own precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.config.statistics import Statistics
from layerscope.core.errors import UserError
from layerscope.core.formats import read_sample, read_table
from layerscope.core.kinds import labels_examples
from layerscope.core.table_files import Sources, Table
from layerscope.data.iob import spans
from layerscope.evaluation import calibration
from layerscope.evaluation.prediction_files import (
    Predictions,
    check_same,
    read_predictions,
    read_probabilities,
)
from layerscope.statistics import metrics
from layerscope.statistics.crossed import crossed_mean
from layerscope.statistics.inference import (
    Floats,
    Statistic,
    bootstrap_weights,
    group_sums,
    interval,
    mean_over_seeds,
)

Row = dict[str, Any]
#: A type of entity and its words in lower case.
Surface = tuple[str, ...]

NOVELTY = ("seen", "unseen")


class Measure(NamedTuple):
    """A measure of one file: counts of groups, the statistic of their sums, and of how many it is.

    `n` is of examples or words, for F1 and recall of true entities or of examples of the label.
    """

    name: str
    label: str | None
    bin: int | None
    counts: Floats
    statistic: Statistic
    n: float


def f1_of(counts: npt.ArrayLike) -> Floats:
    """F1 of summed hits, wrong and missed (... x 3) to (...); NaN where there is none of them."""
    hit, wrong, missed = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    return calibration.ratio_of(np.stack([2 * hit, 2 * hit + wrong + missed], axis=-1))


def recall_of(counts: npt.ArrayLike) -> Floats:
    """Recall of the same; NaN where there is nothing to find."""
    hit, _, missed = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    return calibration.ratio_of(np.stack([hit, hit + missed], axis=-1))


def f1_of_true(counts: npt.ArrayLike) -> Floats:
    """The same as `f1_of`, NaN where there is nothing to find, whatever was predicted."""
    return np.where(np.isnan(recall_of(counts)), np.nan, f1_of(counts))


def gap_of(counts: npt.ArrayLike) -> Floats:
    """F1 of the first three summed counts less that of the next three (... x 6) to (...)."""
    array = np.asarray(counts, dtype=float)
    return f1_of_true(array[..., :3]) - f1_of_true(array[..., 3:])


def _true(counts: Floats) -> float:
    """How many there are of a class, from its hits, wrong and missed."""
    return float(counts[:, 0].sum() + counts[:, 2].sum())


def surfaces(tokens: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> set[Surface]:
    """Entities of sentences, each a type and its words in lower case."""
    return {
        _surface(kind, words[start:end])
        for words, own in zip(tokens, tags, strict=True)
        for start, end, kind in spans(own)
    }


def _surface(kind: str, words: Sequence[str]) -> Surface:
    return (kind, *(word.lower() for word in words))


def novelty_counts(
    tokens: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    known: set[Surface],
) -> Floats:
    """Sentences x 6: hits, wrong and missed of seen entities, then of unseen ones.

    Args:
        tokens, labels, predicted: words and tags of each sentence.
        known: `surfaces` of the training sample.
    """
    counts = np.zeros((len(tokens), 6))
    for row, (words, own, answers) in enumerate(zip(tokens, labels, predicted, strict=True)):
        true, found = set(spans(own)), set(spans(answers))
        for column, entities in enumerate((true & found, found - true, true - found)):
            for start, end, kind in entities:
                counts[row, column + 3 * (_surface(kind, words[start:end]) not in known)] += 1
    return counts


def _by_sentence(values: Sequence[str], starts: npt.NDArray[np.int64]) -> list[list[str]]:
    ends = [*starts[1:].tolist(), len(values)]
    return [list(values[a:b]) for a, b in zip(starts.tolist(), ends, strict=True)]


def _novelty(file: Predictions, test: pa.Table, train: pa.Table) -> Floats:
    """Counts of each group.

    Raises:
        UserError: the test data are not those of the predictions.
    """
    columns = file.columns
    starts = np.flatnonzero(np.asarray(columns["word_index"]) == 0)
    labels = _by_sentence(columns["label"], starts)
    if labels != test["tags"].to_pylist():
        raise UserError(
            f"{file.path}: other words than the test data; allowed: predictions of these"
        )
    counts = novelty_counts(
        test["tokens"].to_pylist(),
        labels,
        _by_sentence(columns["predicted"], starts),
        surfaces(train["tokens"].to_pylist(), train["tags"].to_pylist()),
    )
    return group_sums(counts, [columns["group_id"][start] for start in starts])


def measures(
    file: Predictions, test: pa.Table | None = None, train: pa.Table | None = None
) -> Iterator[Measure]:
    """All measures of one file.

    Args:
        file: of predictions.
        test, train: test data, and the rows that the variant learned from; for NER alone.

    Raises:
        UserError: probabilities are missing, or data do not belong to the predictions.
    """
    yield from _calibration(file)
    names, columns = file.described["labels"], file.columns
    if labels_examples(file.described["kind_of_task"]):
        classes = names
        counts = metrics.example_counts(columns["label"], columns["predicted"], names)
    else:
        classes = metrics.entity_types(names)
        counts = metrics.entity_counts(
            columns["label"], columns["predicted"], columns["example_id"], classes
        )
    counts = group_sums(counts, columns["group_id"])
    for place, label in enumerate(classes):
        own = counts[:, place :: len(classes)]
        yield Measure("f1", label, None, own, f1_of, _true(own))
    if test is not None and train is not None:
        split = _novelty(file, test, train)
        for place, novelty in enumerate(NOVELTY):
            part = split[:, 3 * place : 3 * place + 3]
            yield Measure(f"f1_{novelty}", None, None, part, f1_of_true, _true(part))
            yield Measure(f"recall_{novelty}", None, None, part, recall_of, _true(part))
        both = _true(split[:, :3]) + _true(split[:, 3:])
        yield Measure("f1_gap", None, None, split, gap_of, both)


def _calibration(file: Predictions) -> Iterator[Measure]:
    names, groups = file.described["labels"], file.columns["group_id"]
    labels, predicted = (metrics.encode(file.columns[key], names) for key in ("label", "predicted"))
    probabilities = read_probabilities(file)
    rows = len(labels)
    confidence = probabilities[np.arange(rows), predicted]
    counts = group_sums(calibration.bin_counts(confidence, predicted == labels), groups)
    yield Measure("ece", None, None, counts, calibration.ece_of, rows)
    yield Measure("ece_calibrated", None, None, counts, calibration.calibrated_ece_of, rows)
    distances = group_sums(calibration.brier_counts(probabilities, labels), groups)
    yield Measure("brier", None, None, distances, calibration.ratio_of, rows)
    for place in range(calibration.BINS):
        inside, sure, right = (counts[:, place + part * calibration.BINS] for part in range(3))
        if inside.any():
            for name, sums in (("bin_confidence", sure), ("bin_accuracy", right)):
                both = np.stack([sums, inside], axis=1)
                yield Measure(name, None, place, both, calibration.ratio_of, inside.sum())


#: Measures without an interval.
PLAIN = ("ece_calibrated", "bin_confidence")


#: Ends of what is not from 0 to 1.
BOUNDS = {"f1_gap": (-1.0, 1.0), "brier": (0.0, 2.0)}


@lru_cache(maxsize=2)
def _draws(groups: int, resamples: int, seed: int) -> Floats:
    return bootstrap_weights(groups, resamples, np.random.default_rng(seed))


def _with_interval(
    counts: Sequence[Floats], statistic: Statistic, settings: Statistics
) -> tuple[float, float, float]:
    """As of scores; dozens of measures reuse the same resamples."""
    if len(counts) > 1:
        return crossed_mean(counts, statistic, settings.confidence)
    drawn = statistic(_draws(len(counts[0]), settings.resamples, settings.seed) @ counts[0])
    return mean_over_seeds(counts, statistic), *interval(drawn, settings.confidence)


def _row(members: Sequence[Measure], settings: Statistics) -> Row:
    first = members[0]
    counts = [member.counts for member in members]
    if first.bin is not None:  # a seed may have none in a bin, so seeds are pooled
        counts = [np.sum(counts, axis=0)]
    if first.name in PLAIN:
        ends = (mean_over_seeds(counts, first.statistic), np.nan, np.nan)
    else:
        ends = _with_interval(counts, first.statistic, settings)
        ends = ends[0], *np.clip(ends[1:], *BOUNDS.get(first.name, (0.0, 1.0)))
    value, low, high = (float(end) if np.isfinite(end) else None for end in ends)
    return {
        "measure": first.name,
        "label": first.label,
        "bin": first.bin,
        "value": value,
        "low": low,
        "high": high,
        "n": int(sum(member.n for member in members)),
    }


def evaluation_rows(
    files: Sequence[Predictions],
    settings: Statistics,
    test: pa.Table | None = None,
    train_of: Callable[[str], pa.Table] | None = None,
) -> list[Row]:
    """Rows of the table of evaluation of one model on one task.

    Intervals are those of scores: over groups of test examples, and for the mean over seeds of a
    share, variant `f{percent}` with seed null, over seeds too. Bins are pooled over seeds and have
    intervals over groups alone.

    Args:
        files: predictions of all fine-tuned variants.
        settings: of the resampling.
        test, train_of: test data, and the rows that a variant, by name, learned from; for NER.

    Raises:
        UserError: the files do not belong together, or lack probabilities.
    """
    check_same(files)
    keys = {name: files[0].described[name] for name in ("task", "model")}
    rows: list[Row] = []
    by_percent: dict[int, list[list[Measure]]] = {}
    for file in sorted(files, key=lambda file: (file.percent, file.seed)):
        variant = file.described["variant"]
        found = list(measures(file, test, train_of(variant) if train_of else None))
        by_percent.setdefault(file.percent, []).append(found)
        about = {**keys, "variant": variant, "percent": file.percent, "seed": file.seed}
        rows += [about | _row([measure], settings) for measure in found]
    for percent, seeds in by_percent.items():
        if len(seeds) > 1:
            about = {**keys, "variant": f"f{percent}", "percent": percent, "seed": None}
            same: dict[tuple[str, str | None, int | None], list[Measure]] = {}
            for measure in (measure for found in seeds for measure in found):
                same.setdefault(measure[:3], []).append(measure)
            rows += [about | _row(members, settings) for members in same.values()]
    return rows


def tabulate(sources: Sources) -> dict[str, Table]:
    """A part of the table: a model on a task.

    From predictions …/{variant}.parquet; where entities are predicted also from `test` and `train`
    data, and `samples` …/{variant}.parquet of each variant. The settings are of statistics.

    Raises:
        UserError: what is needed for entities is not given.
    """
    settings = Statistics.model_validate_json(sources.settings)
    files = [read_predictions(path) for path in sources.files]
    entities = not labels_examples(files[0].described["kind_of_task"])
    data = {name: sources.paths.get(name, [None])[0] for name in ("test", "train")}
    samples = {Path(path).stem: path for path in sources.paths.get("samples", ())}
    for file in files if entities else []:
        if not (data["test"] and data["train"] and file.described["variant"] in samples):
            raise UserError(
                f"{file.path}: no test data, training data or sample of variant "
                f"'{file.described['variant']}'; allowed: all three where entities are predicted"
            )
    rows = evaluation_rows(
        files,
        settings,
        read_table(sources.path("test"), "ner") if entities else None,
        (lambda variant: read_sample(sources.path("train"), samples[variant], "ner"))
        if entities
        else None,
    )
    return {"error_analysis": Table([rows], {"confidence": settings.confidence})}
