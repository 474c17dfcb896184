"""What our scores say of published ones: a row for each reference, and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from layerscope.config.references import ANY, Reference, read_references
from layerscope.core.measures import BASELINES
from layerscope.core.table_files import Sources, Table

Row = dict[str, Any]

AGREES, BELOW, ABOVE = "agrees", "below", "above"
NOT_COMPARABLE, OTHER_MODEL, NOT_RUN = "not comparable", "other model", "not run"
VERDICTS = (AGREES, BELOW, ABOVE, NOT_COMPARABLE, OTHER_MODEL, NOT_RUN)


def our_score(reference: Reference, scores: pd.DataFrame) -> Row | None:
    """The row that a reference is compared with: the mean over seeds, or the only seed.

    For the model `any` it is that of the model with the highest score; baselines are no models.
    """
    compared = scores["value"].notna() & ~scores["model"].isin(BASELINES)
    for key in ("task", "metric", "percent"):
        compared &= scores[key] == getattr(reference, key)
    if reference.model != ANY:
        compared &= scores["model"] == reference.model
    means_first = scores[compared].sort_values("seed", key=pd.Series.notna, kind="stable")
    best = means_first.drop_duplicates("model")
    return None if best.empty else best.loc[best["value"].idxmax()].to_dict()


def judge(reference: Reference, ours: Row) -> str:
    """`agrees` if our value or a part of its interval is within the tolerance.

    A bound is judged by the value alone, so that a wide interval excuses nothing.
    """
    lowest = reference.value - reference.tolerance
    highest = reference.value + reference.tolerance
    if reference.comparable == "bound":
        return ABOVE if ours["value"] > highest else AGREES
    low = ours["value"] if pd.isna(ours["low"]) else min(ours["low"], ours["value"])
    high = ours["value"] if pd.isna(ours["high"]) else max(ours["high"], ours["value"])
    if high < lowest:
        return BELOW
    return ABOVE if low > highest else AGREES


def verdict_rows(references: Sequence[Reference], scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table of verdicts, in the order of the references.

    Verdicts: `agrees`, `below` and `above` (see `judge`); `not comparable` where the reference says
    so; `not run` where the study lacks the task, or the score at that percent; `other model` where
    it has the task and not the model, so that the value is context.

    Args:
        references: published values.
        scores: rows of the table of scores.
    """
    models, tasks = {ANY, *scores["model"]}, set(scores["task"])
    rows = []
    for reference in references:
        ours = our_score(reference, scores)
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
                **{key: ours[key] if ours else None for key in ("value", "low", "high")},
                "verdict": verdict,
            }
        )
    return pd.DataFrame(rows)


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table, from published values and the table of scores."""
    references = read_references(sources.path("references"))
    return {"reproduction": Table([verdict_rows(references, sources.table("scores"))])}
