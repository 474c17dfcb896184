"""Whether inner measures of fine-tuned models are associated with their downstream scores.

A point is a fine-tuned variant of a model. More training data raises the score and changes the
model at the same time, and points of one model are not independent. Measure and score are therefore
compared between models within each training fraction, and tested by permuting whole models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from layerscope.config.statistics import AssociationSettings
from layerscope.core.applicability import merged
from layerscope.core.formats import file_metadata
from layerscope.core.measures import LEVEL, of_main_rows, task_metrics
from layerscope.core.table_files import Sources, Table, number
from layerscope.evaluation.inner_measures import ATTENTION, inner_measures, points
from layerscope.evaluation.placebos import FRACTION, PLACEBOS, placebo_measures
from layerscope.evaluation.profiles import Key, Profiles, task_profiles
from layerscope.statistics.held_out import held_out_r2
from layerscope.statistics.permutation import (
    LEAST_UNITS,
    orders_of,
    permutation_test,
    spearman_interval,
    stratified_spearman,
)

Row = dict[str, Any]

#: Names of the statistics in the table.
WITHIN = "spearman within fractions"
LEFT_OUT = "spearman within fractions, one model left out"
POOLED = "spearman over all points"
R2_WITHOUT = "held-out R2, placebos"
R2_WITH = "held-out R2, placebos and measure"
R2_GAIN = "held-out R2, gain"


def task_points(
    scores: pd.DataFrame,
    probes: pd.DataFrame,
    attention: pd.DataFrame,
    weights: pd.DataFrame,
    families: Mapping[str, str],
) -> dict[tuple[str, str], pd.DataFrame]:
    """Points of one task by metric of the score and inner measure, placebos last.

    Measures without a point are left out.

    Args:
        scores, probes, attention, weights: the task's rows of these tables, the last one of changes
            of weights. Probes are taken in the metric of the score.
        families: the model that each model is derived from; one that is not named, from none.
    """
    found, probes = {}, of_main_rows(probes)
    for metric in task_metrics(set(scores["metric"])):
        placebos = placebo_measures(scores, probes, weights, metric)
        measures = pd.concat([inner_measures(probes, attention, metric), placebos])
        for name, inner in measures.groupby("inner measure", sort=False):
            own = points(scores, inner, metric)
            if own.empty:
                continue
            family = own["model"].map(lambda model: families.get(model, model)).astype(object)
            found[metric, str(name)] = own.assign(family=family, placebo=name in PLACEBOS)
    return found


def association_rows(
    task: str, profiles_of: Mapping[Key, Profiles], settings: AssociationSettings
) -> list[Row]:
    """Rows of the table of associations of one task.

    - `spearman within fractions`: Spearman's correlation between independent models within each
      training fraction, the mean over fractions; with an interval, `p` by permutation of whole
      models, `p_corrected` for the number of inner measures of the task and metric (placebos are
      none), and `critical`, the absolute correlation above which that is at most `LEVEL`.
    - `spearman within fractions, one model left out`: its mean, least and largest value over models
      that are left out.
    - `spearman over all points`: descriptive, since the training fraction drives both sides.
    - `held-out R2, placebos`, `held-out R2, placebos and measure` and `held-out R2, gain`: how well
      the score of a held-out model is predicted without and with the measure. For a placebo the
      first is of the training fraction alone, and 0 for the fraction itself.

    With fewer than `LEAST_UNITS` independent models there is no interval, no p and no R².

    Args:
        task: its name.
        profiles_of: as from `task_profiles`.
        settings: of intervals and tests.
    """
    rows: list[Row] = []
    for metric in dict.fromkeys(metric for metric, _ in profiles_of):
        own = {name: found for (known, name), found in profiles_of.items() if known == metric}
        tested: dict[str, list[Row]] = {}
        for chosen in ([n for n in own if n not in PLACEBOS], [n for n in own if n in PLACEBOS]):
            groups = _tested_together({name: own[name] for name in chosen})
            for names in groups:
                tested |= _tested({name: own[name] for name in names}, len(groups), settings)
        for name in own:
            about = {"task": task, "inner measure": name, "placebo": name in PLACEBOS}
            found = tested[name] + _predicted(own, name)
            rows += [{**about, "metric": metric, **row} for row in found]
    return rows


def _tested_together(own: Mapping[str, Profiles]) -> list[list[str]]:
    """Names of measures by the models, fractions and scores that they have: usually all alike."""
    groups: dict[Any, list[str]] = {}
    for name, found in own.items():
        groups.setdefault(found.models_and_scores, []).append(name)
    return list(groups.values())


def _row(
    statistic: str, own: Profiles, value: float, low: float = math.nan, high: float = math.nan
) -> Row:
    return {
        "statistic": statistic, "value": number(value), "low": number(low), "high": number(high),
        "p": None, "p_corrected": None, "critical": None, "n": own.n, "models": len(own.units),
    }  # fmt: skip


def _tested(
    own: Mapping[str, Profiles], groups: int, settings: AssociationSettings
) -> dict[str, list[Row]]:
    """Correlations of measures, and their test.

    Args:
        own: measures of the same models, fractions and scores.
        groups: how many such groups there are, by whose number p is corrected too (Bonferroni).
        settings: of intervals and tests.
    """
    first, *_ = own.values()
    units = len(first.units)
    measures = np.stack([found.inner for found in own.values()])
    tested = None
    if units >= LEAST_UNITS:
        orders = orders_of(units, settings.resamples, settings.seed)
        tested = permutation_test(measures, first.score, orders, LEVEL / groups)
    values = stratified_spearman(measures, first.score)
    rows = {}
    for at, (name, found) in enumerate(own.items()):
        row = _row(WITHIN, found, value := float(values[at]))
        if tested and math.isfinite(value):
            deviation = float(tested.deviation[at])
            ends = spearman_interval(value, deviation, units, settings.confidence)
            row |= {"low": ends[0], "high": ends[1], "p": float(tested.p[at])}
            if name not in PLACEBOS:
                row["p_corrected"] = min(1.0, groups * float(tested.corrected[at]))
                row["critical"] = tested.critical
        rows[name] = [row, _left_out(found), _row(POOLED, found, found.pooled)]
    return rows


def _left_out(own: Profiles) -> Row:
    """Mean, least and largest correlation within fractions over units that are left out."""
    found = [
        float(stratified_spearman(np.delete(own.inner, at, 0), np.delete(own.score, at, 0)))
        for at in range(len(own.units))
    ]
    known = [value for value in found if math.isfinite(value)] or [math.nan]
    return _row(LEFT_OUT, own, math.fsum(known) / len(known), min(known), max(known))


def _predicted(own: Mapping[str, Profiles], name: str) -> list[Row]:
    """How well the score of a held-out model is predicted without and with a measure.

    Args:
        own: all measures and placebos of the metric; placebos that lack models are not used.
        name: of the measure.
    """
    measure = own[name]
    further = [] if name in PLACEBOS else [p for p in PLACEBOS if p in own and p != FRACTION]
    known = [p for p in further if own[p].models_and_scores == measure.models_and_scores]
    placebos = np.reshape([own[p].inner for p in known], (len(known), *measure.score.shape))
    without = held_out_r2(measure.score, placebos)
    if name == FRACTION:
        with_it, without = without, 0.0 if math.isfinite(without) else math.nan
    else:
        with_it = held_out_r2(measure.score, np.concatenate([placebos, measure.inner[None]]))
    return [
        _row(R2_WITHOUT, measure, without),
        _row(R2_WITH, measure, with_it),
        _row(R2_GAIN, measure, with_it - without),
    ]


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table and that of points, from those of scores, probes and attention.

    Attention gives measures, and changes of weights a placebo, where the study has their table.
    """
    settings = AssociationSettings.model_validate_json(sources.settings)
    rows, all_points = [], []
    for task in sources.tasks("scores"):
        points_of = task_points(
            sources.table("scores", task),
            sources.table("probes", task),
            _attention(sources, task),
            _weights(sources, task),
            settings.families,
        )
        profiles_of = task_profiles(task, points_of)
        rows += association_rows(task, profiles_of, settings)
        all_points += [points_of[key].assign(task=task) for key in profiles_of]
    return {
        "association": Table([rows], {"confidence": settings.confidence, **_missing(sources)}),
        "association-points": Table([pd.concat(all_points)] if all_points else []),
    }


def _missing(sources: Sources) -> dict[str, Any]:
    """Which models have no attention or changes of weights, and why."""
    given = [name for name in ("attention", "weight_change") if name in sources.paths]
    return merged(file_metadata(sources.path(name), f"{name}-table") for name in given)


def _attention(sources: Sources, task: str) -> pd.DataFrame:
    """The task's rows of the table of attention, none where there is no such table."""
    if "attention" in sources.paths:
        return sources.table("attention", task, list(ATTENTION))
    return pd.DataFrame(columns=["model", "variant", "percent", "layer", "measure", "value"])


def _weights(sources: Sources, task: str) -> pd.DataFrame:
    """The task's rows of the table of changes of weights, none where there is no such table."""
    if "weight_change" in sources.paths and task in sources.tasks("weight_change"):
        return sources.table("weight_change", task, ["relative_change"])
    return pd.DataFrame(columns=["model", "variant", "layer", "matrices", "value"])
