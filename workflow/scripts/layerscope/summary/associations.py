"""Findings on what goes with the score."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.statistics.inference import min_models_for_significance
from layerscope.summary.intervals import Interval, Row

#: Associations that are named, the strongest first.
NAMED = 5


def association_findings(
    rows: Sequence[Row], metric: str, confidence: float, models: int
) -> list[str]:
    """Which inner measures go with the score.

    Args:
        rows: one task's rows of the table of associations.
        metric: of the task.
        confidence: of their intervals.
        models: how many there are.
    """
    chosen = [
        row
        for row in rows
        if row["metric"] == metric
        and row["statistic"] == "spearman"
        and None not in (row["value"], row["low"], row["high"])
    ]
    if not chosen:
        return [
            "No association of an inner measure with the score has an interval: there are too few "
            "models."
        ]
    told = [row for row in chosen if row["low"] > 0 or row["high"] < 0]
    told.sort(key=lambda row: -abs(row["value"]))
    text = f"Of {len(chosen)} inner measures {len(told)} go with the score by an interval that "
    text += "excludes 0"
    text += f" (chance alone would give about {(1 - confidence) * len(chosen):.0f})"
    power = min_models_for_significance(models, round(1 - confidence, 6))
    power = f"Intervals that exclude 0 lean on variants of the same models: {power}."
    if not told:
        return [text + ".", power]
    named = [
        f"{row['inner measure']}, {Interval(row['value'], row['low'], row['high'])}"
        for row in told[:NAMED]
    ]
    return [f"{text}; the strongest, by Spearman: {'; '.join(named)}.", power]
