"""Findings on what goes with the score."""

from __future__ import annotations

import pandas as pd

from layerscope.statistics.inference import min_models_for_significance
from layerscope.summary.intervals import Interval

#: Associations that are named, the strongest first.
NAMED = 5


def association_findings(
    rows: pd.DataFrame, metric: str, confidence: float, models: int
) -> list[str]:
    """Which inner measures go with the score.

    Args:
        rows: one task's rows of the table of associations.
        metric: of the task.
        confidence: of their intervals.
        models: how many there are.
    """
    columns = ["inner measure", "value", "low", "high"]
    of_metric = (rows["metric"] == metric) & (rows["statistic"] == "spearman")
    chosen = rows.loc[of_metric, columns].dropna()
    if chosen.empty:
        return [
            "No association of an inner measure with the score has an interval: there are too few "
            "models."
        ]
    told = chosen[(chosen["low"] > 0) | (chosen["high"] < 0)]
    told = told.sort_values("value", key=lambda value: -value.abs(), kind="stable")
    text = f"Of {len(chosen)} inner measures {len(told)} go with the score by an interval that "
    text += "excludes 0"
    text += f" (chance alone would give about {(1 - confidence) * len(chosen):.0f})"
    power = min_models_for_significance(models, round(1 - confidence, 6))
    power = f"Intervals that exclude 0 lean on variants of the same models: {power}."
    if told.empty:
        return [text + ".", power]
    named = [
        f"{name}, {Interval(*interval)}"
        for name, *interval in told[:NAMED].itertuples(index=False, name=None)
    ]
    return [f"{text}; the strongest, by Spearman: {'; '.join(named)}.", power]
