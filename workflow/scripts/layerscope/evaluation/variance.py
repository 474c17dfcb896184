"""Where the variance of fine-tuned models comes from, and which models differ by more than that.

A group of models is one model that is trained again with several seeds of its own
(`models.{name}.training_seed`: new head, order of the examples, dropout); the seed of a variant
then draws its training sample alone. Every training seed meets every sample, all trainings are
tested on the same examples, and probes learn from the same rows, or the same draws of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
from scipy.stats import norm, t

from layerscope.config.statistics import VarianceSettings
from layerscope.core.encodings import main_views
from layerscope.core.formats import read_table
from layerscope.core.formats.probe_predictions import ProbePredictions
from layerscope.core.measures import TASK_METRICS
from layerscope.core.table_files import Sources, Table, number, path_parts
from layerscope.evaluation.prediction_files import group_counts, read_predictions
from layerscope.evaluation.significance import holm
from layerscope.statistics.components import Component, Crossed, crossed
from layerscope.statistics.crossed import (
    MANY,
    Spread,
    example_variances,
    half_width,
    two_sided_p,
)
from layerscope.statistics.inference import Floats, Statistic
from layerscope.statistics.probe_intervals import Resampled, Scorer

Row = dict[str, Any]
#: Files of one task by model and sample.
Files = Mapping[tuple[str, int], str]

#: Names of the sources in the table.
TRAINING, SAMPLE, BOTH = "training seed", "training sample", "interaction"
EXAMPLES, ROWS, ONE = "test examples", "probe rows", "one training"


class Measured(NamedTuple):
    """A measure of a group: by training seed and sample, and what else its mean varies by.

    Attributes:
        values: training seeds x samples.
        examples: variance over test examples of the mean of all trainings; NaN if not known.
        rows: the same over draws of the rows that probes learn from, of one draw; NaN if there are
            no draws, or no probe.
        draws: how many draws there are.
        missing: what else the measure could have varied by, and was not drawn.
    """

    values: Floats
    examples: float = float("nan")
    rows: float = float("nan")
    draws: int = 0
    missing: str | None = None


def score_of(files: Sequence[Sequence[str]]) -> Measured:
    """The task's score, from predictions of each training (training seeds x samples)."""
    found = [[read_predictions(path) for path in line] for line in files]
    metric = TASK_METRICS[found[0][0].described["kind_of_task"]][0]
    parts = [[group_counts(file)[metric] for file in line] for line in found]
    statistic = parts[0][0][1]
    counts = [array for line in parts for array, _ in line]
    values = [[float(statistic(array.sum(axis=0))) for array, _ in line] for line in parts]
    examples = example_variances(counts, statistic)[0] if len(counts[0]) > 1 else float("nan")
    return Measured(np.asarray(values), examples)


def probe_measures(
    files: Sequence[Sequence[str]], scorer: Scorer
) -> Iterator[tuple[str, Measured]]:
    """Of a probe, in each main view: score of the last layer, and depth of the best layer.

    Args:
        files: predictions of each training (training seeds x samples).
        scorer: that resamples all of them with the same groups.
    """
    answers = [[ProbePredictions(path) for path in line] for line in files]
    first = answers[0][0]
    metric = TASK_METRICS[first.described["kind_of_task"]][0]
    split = next(iter(first.places))[0]
    for view in main_views(view for _, view, *_ in first.places):
        curves = [
            [
                scorer.scores(file, [p for p in file.places if p[:2] == (split, view)])[metric]
                for file in line
            ]
            for line in answers
        ]
        depth = np.asarray(first.layers) / max(first.last, 1)

        def best(scores: Floats, depth: Floats = depth) -> Floats:
            return np.asarray(depth[scores.argmax(axis=-1)])

        yield f"{view} view: score of the last layer", _measured(curves, _last)
        yield f"{view} view: depth of the best layer", _measured(curves, best)


def _last(scores: Floats) -> Floats:
    return np.asarray(scores[..., -1])


def _measured(curves: Sequence[Sequence[Resampled]], statistic: Statistic) -> Measured:
    """A statistic of scores by layer; what it varies by over resamples of a training's scores.

    Resamples and draws are the same of all trainings, so that their means are of one of each.
    """
    values = [[float(statistic(curve.value)) for curve in line] for line in curves]
    every = [curve for line in curves for curve in line]
    draws = np.mean([statistic(curve.draws) for curve in every], axis=0)
    rows = np.mean([statistic(curve.rows) for curve in every], axis=0)
    drawn = float(rows.var(ddof=1)) if len(rows) > 1 else float("nan")
    missing = None if len(rows) > 1 else ROWS
    return Measured(np.asarray(values), float(draws.var(ddof=1)), drawn, len(rows), missing)


def attention_of(files: Sequence[Sequence[str]]) -> Measured:
    """JSD of attention before and after, the mean over layers, heads and examples.

    Examples are taken to be independent, also those of a group, which the files do not name.
    """
    by_example = []
    for line in files:
        for path in line:
            rows = read_table(path, "attention", ["example_id", "measure", "value"])
            rows = rows.filter(pc.equal(rows["measure"], "jsd"))
            means = rows.group_by("example_id", use_threads=False).aggregate([("value", "mean")])
            by_example.append(means["value_mean"].to_numpy())
    found = np.stack(by_example)
    if not found.size:
        return Measured(np.full((len(files), len(files[0])), np.nan))
    values = found.mean(axis=1).reshape(len(files), -1)
    shared = found.mean(axis=0)
    examples = shared.var(ddof=1) / len(shared) if len(shared) > 1 else float("nan")
    return Measured(values, float(examples))


def similarity_of(files: Sequence[Sequence[str]]) -> Iterator[tuple[str, Measured]]:
    """CKA with the pre-trained model, the mean over layers, in each main view."""
    tables = [[read_table(path, "similarity").to_pandas() for path in line] for line in files]
    for view in main_views(tables[0][0]["view"]):
        values = [
            [
                rows.loc[(rows["view"] == view) & (rows["measure"] == "cka"), "value"].mean()
                for rows in line
            ]
            for line in tables
        ]
        found = Measured(np.asarray(values), missing=EXAMPLES)
        yield f"{view} view: CKA with the pre-trained model", found


def component_rows(found: Measured, confidence: float) -> list[Row]:
    """Rows of one measure of one group: standard deviations by source."""
    parts = crossed(found.values, confidence)
    sources: dict[str, Component | float] = {
        TRAINING: parts.rows, SAMPLE: parts.columns, BOTH: parts.residual, ONE: parts.cell,
        EXAMPLES: found.examples, ROWS: found.rows,
    }  # fmt: skip
    known = {
        "mean": float(found.values.mean()),
        "trainings": found.values.shape[0],
        "samples": found.values.shape[1],
    }
    rows = []
    for source, part in sources.items():
        variance, *ends = part if isinstance(part, Component) else (part, np.nan, np.nan)
        deviation, low, high = (number(float(np.sqrt(value))) for value in (variance, *ends))
        rows.append(known | {"source": source, "value": deviation, "low": low, "high": high})
    return rows


def difference_row(one: Measured, other: Measured, confidence: float) -> Row:
    """How two groups' means differ, with all that they vary by.

    Samples, test examples and probe rows are shared, and taken to be drawn apart, which can only
    make the true interval narrower. A variance from few draws of the rows is widened as Student's
    interval is.

    Returns:
        `p` is of what was drawn; `not_drawn` names what was not.
    """
    sides = [crossed(each.values, confidence) for each in (one, other)]
    seeds = sum(side.mean for side in sides)
    df = min(side.mean_df for side in sides)
    if seeds:
        df = seeds**2 / sum(side.mean**2 / side.mean_df for side in sides)
    others = float(np.nansum([one.examples, other.examples, _of_few(one), _of_few(other)]))
    value = float(other.values.mean() - one.values.mean())
    spread = Spread(seeds, df, others, MANY)
    p = two_sided_p(value, spread)
    half = half_width(spread, confidence) if np.isfinite(p) else float("nan")
    return {
        "value": value, "low": number(value - half), "high": number(value + half), "p": number(p),
        "not_drawn": one.missing or other.missing, "chance": _chance(sides),
    }  # fmt: skip


def _of_few(found: Measured) -> float:
    """Variance over draws of the rows, as a normal one that gives Student's interval."""
    if found.draws < 2:
        return found.rows
    return found.rows * float(t.ppf(0.975, found.draws - 1) / norm.ppf(0.975)) ** 2


def _chance(sides: Sequence[Crossed]) -> float:
    """What one training of each model, with its own seed and sample, exceed in one of twenty."""
    cells = [side.cell.variance for side in sides]
    if not any(cells):
        return 0.0
    df = sum(cells) ** 2 / sum(c**2 / s.cell_df for c, s in zip(cells, sides, strict=True))
    return float(t.ppf(0.975, df) * np.sqrt(sum(cells)))


def task_rows(
    files: Mapping[str, Files], groups: Sequence[Sequence[str]], settings: VarianceSettings
) -> tuple[list[Row], list[Row]]:
    """Rows of both tables of one task: components, and differences between groups.

    Args:
        files: of the task, by kind: `predictions`, `probes/{probe}`, `attention`, `similarity`.
        groups: names of the models of each group.
        settings: of intervals.
    """
    scorer = Scorer(settings)
    measured: dict[str, dict[str, Measured]] = {}
    for models in groups:
        samples = sorted({seed for model, seed in files["predictions"] if model == models[0]})
        for kind, own in files.items():
            grid = [[own[model, seed] for seed in samples] for model in models]
            for name, found in _measures(kind, grid, scorer):
                if not np.isfinite(found.values).all():  # such as of a model without attention
                    continue
                measured.setdefault(name, {})[models[0]] = found
    components: list[Row] = [
        {"model": model, "measure": name, **row}
        for name, by_group in measured.items()
        for model, found in by_group.items()
        for row in component_rows(found, settings.confidence)
    ]
    differences: list[Row] = [
        {"model": one, "other": other, "measure": name}
        | difference_row(by_group[one], by_group[other], settings.confidence)
        for name, by_group in measured.items()
        for one, other in combinations(by_group, 2)
    ]
    # What was not drawn could have come out otherwise: such a difference is not tested.
    known = [
        float("nan") if row["p"] is None or row["not_drawn"] else row["p"] for row in differences
    ]
    for row, adjusted in zip(differences, holm(known), strict=True):
        row["p_corrected"] = number(adjusted)
    return components, differences


def _measures(
    kind: str, grid: Sequence[Sequence[str]], scorer: Scorer
) -> Iterator[tuple[str, Measured]]:
    if kind == "predictions":
        yield "score", score_of(grid)
    elif kind == "attention":
        yield "attention JSD", attention_of(grid)
    elif kind == "similarity":
        yield from similarity_of(grid)
    else:
        probe = kind.removeprefix("probes/")
        for name, found in probe_measures(grid, scorer):
            yield f"{probe} probe, {name}", found


def _by_task(sources: Sources) -> dict[str, dict[str, dict[tuple[str, int], str]]]:
    """Files by task, kind, and model and sample."""
    found: dict[str, dict[str, dict[tuple[str, int], str]]] = {}
    for kind in ("predictions", "probes", "attention", "similarity"):
        for path in sources.paths.get(kind, ()):
            parts = ["task", "model", "variant", *(["probe"] if kind == "probes" else [])]
            task, model, variant, *probe = path_parts(path, tuple(parts))
            name = "/".join([kind, *(each.removesuffix(".predictions") for each in probe)])
            sample = int(variant.rpartition("-s")[2])
            found.setdefault(task, {}).setdefault(name, {})[model, sample] = path
    return found


def tabulate(sources: Sources) -> dict[str, Table]:
    """Both tables, from results of all trainings of the models that are trained again."""
    settings = VarianceSettings.model_validate_json(sources.settings)
    components, differences = [], []
    for task, files in _by_task(sources).items():
        own = task_rows(files, settings.groups, settings)
        components += [{"task": task, **row} for row in own[0]]
        differences += [{"task": task, **row} for row in own[1]]
    described = {"confidence": settings.confidence}
    return {
        "variance": Table([components], described),
        "variance-differences": Table([differences], described),
    }
