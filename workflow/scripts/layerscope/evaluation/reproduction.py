"""What our scores say of published ones: a row for each reference, and a verdict.

A verdict is a test of equivalence (Schuirmann 1987, Journal of Pharmacokinetics and
Biopharmaceutics 15, 657-680): our score agrees with a published one where the whole interval of the
difference lies within the tolerance, and not because the interval is wide. The interval is over
seeds and test examples, of 90 % for two one-sided tests at 5 %. Published values count as exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import pandas as pd

from layerscope.config.references import ANY, Reference, read_references
from layerscope.config.statistics import Statistics
from layerscope.core.measures import BASELINES, LEVEL
from layerscope.core.table_files import Sources, Table
from layerscope.statistics.crossed import MANY, MIN_SEEDS, Spread, half_width, seed_variance

Row = dict[str, Any]

AGREES, BELOW, ABOVE, INCONCLUSIVE = "agrees", "below", "above", "inconclusive"
NOT_COMPARABLE, OTHER_MODEL, NOT_RUN = "not comparable", "other model", "not run"
VERDICTS = (AGREES, BELOW, ABOVE, INCONCLUSIVE, NOT_COMPARABLE, OTHER_MODEL, NOT_RUN)


class Ours(NamedTuple):
    """Our score: mean over seeds, and the ends of its interval, None with one seed."""

    value: float
    low: float | None
    high: float | None


def mean_with_interval(own: pd.DataFrame, confidence: float) -> Ours:
    """Mean over seeds, with an interval over seeds and examples that two one-sided tests need.

    The variance over examples is that of one seed, from its interval: that of the mean is no
    larger.

    Args:
        own: rows of the table of scores of one model's seeds on one percent, one metric.
        confidence: of the intervals in the table.
    """
    value = float(own["value"].mean())
    if len(own) < MIN_SEEDS or own["low"].isna().any():
        return Ours(value, None, None)
    errors = (own["high"] - own["low"]) / 2 / NormalDist().inv_cdf((1 + confidence) / 2)
    examples = float((errors**2).mean())
    half = half_width(Spread(*seed_variance([own["value"]]), examples, MANY), 1 - 2 * LEVEL)
    return Ours(value, max(value - half, 0.0), min(value + half, 1.0))


def our_score(reference: Reference, scores: pd.DataFrame, confidence: float) -> Ours | None:
    """The score that a reference is compared with.

    For the model `any` it is that of the model with the highest score; baselines are no models.
    """
    compared = scores["value"].notna() & ~scores["model"].isin(BASELINES) & scores["seed"].notna()
    for key in ("task", "metric", "percent"):
        compared &= scores[key] == getattr(reference, key)
    if reference.model != ANY:
        compared &= scores["model"] == reference.model
    by_model = scores[compared].groupby("model", sort=False)
    found = [mean_with_interval(own, confidence) for _, own in by_model]
    return max(found, key=lambda ours: ours.value, default=None)


def judge(reference: Reference, ours: Ours) -> str:
    """Whether the interval lies within the tolerance, outside it, or on its edge.

    A value above a bound is always said to be so: a wide interval excuses nothing.
    """
    lowest = reference.value - reference.tolerance
    highest = reference.value + reference.tolerance
    bound = reference.comparable == "bound"
    if bound and ours.value > highest:
        return ABOVE
    if ours.low is None or ours.high is None:
        return INCONCLUSIVE
    if ours.high <= highest and (bound or ours.low >= lowest):
        return AGREES
    if ours.low > highest:
        return ABOVE
    return BELOW if ours.high < lowest and not bound else INCONCLUSIVE


def verdict_rows(
    references: Sequence[Reference], scores: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """Rows of the table of verdicts, in the order of the references.

    Verdicts: those of `judge`; `not comparable` where the reference says so; `not run` where the
    study lacks the task, or the score at that percent; `other model` where it has the task and not
    the model, so that the value is context.

    Args:
        references: published values.
        scores: rows of the table of scores.
        confidence: of their intervals.
    """
    models, tasks = {ANY, *scores["model"]}, set(scores["task"])
    rows = []
    for reference in references:
        ours = our_score(reference, scores, confidence)
        if reference.comparable == "no":
            verdict = NOT_COMPARABLE
        elif ours is not None:
            verdict = judge(reference, ours)
        elif reference.task in tasks and reference.model not in models:
            verdict = OTHER_MODEL
        else:
            verdict = NOT_RUN
        rows.append(
            {
                "task": reference.task,
                "model": reference.model,
                "metric": reference.metric,
                "percent": reference.percent,
                "published": reference.value,
                "tolerance": reference.tolerance,
                "source": reference.source,
                **(ours._asdict() if ours else dict.fromkeys(Ours._fields)),
                "verdict": verdict,
            }
        )
    return pd.DataFrame(rows)


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table, from published values and the table of scores."""
    confidence = Statistics.model_validate_json(sources.settings).confidence
    references = read_references(sources.path("references"))
    rows = verdict_rows(references, sources.table("scores"), confidence)
    return {"reproduction": Table([rows])}
