"""Findings on downstream scores: the best model, more training data, calibration, entities."""

from __future__ import annotations

import numpy as np
import pandas as pd

from layerscope.core.measures import BASELINES
from layerscope.summary.differences import Comparisons, comparisons, sentences, sorted_out
from layerscope.summary.intervals import Interval, listed, supported


def scores_by_model(rows: pd.DataFrame, metric: str) -> tuple[int, dict[str, Interval]]:
    """The largest training fraction, and there the score of each system with its interval.

    It is the mean over seeds, or that of the only seed.
    """
    chosen = rows[(rows["metric"] == metric) & (rows["percent"] > 0)].dropna(subset=["value"])
    most = int(chosen["percent"].max()) if len(chosen) else 0
    largest = _means_last(chosen[chosen["percent"] == most])
    return most, {row.model: Interval(row.value, row.low, row.high) for row in largest.itertuples()}


def _means_last(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds behind single seeds, whose place they take when rows become entries."""
    return rows.sort_values("seed", key=pd.Series.isna, kind="stable")


def score_findings(rows: pd.DataFrame, metric: str, differences: pd.DataFrame | None) -> list[str]:
    """Which model is best, and what more data gives.

    Args:
        rows: one task's rows of the table of scores.
        metric: of the task.
        differences: the task's rows of the table of differences; None if no tests are made.
    """
    most, scores = scores_by_model(rows, metric)
    models = [name for name in scores if name not in BASELINES]
    if not models:
        return []
    best = max(models, key=lambda name: scores[name].value)
    others = sorted((n for n in models if n != best), key=lambda n: -scores[n].value)
    between, gains = comparisons(differences)
    higher, lower, neither = sorted_out(between, others, best)
    untested = [name for name in others if (name, best) not in between]
    text = f"**{best}** has the highest score of the models after fine-tuning on {most} % of the "
    text += f"data: {scores[best]}."
    rest = sentences(
        ("Significantly higher, though the mean is not", higher),
        ("Significantly lower", lower),
        ("No significant difference from it", [f"{name}, {scores[name]}" for name in neither]),
        ("Not tested", [f"{name}, {scores[name]}" for name in untested]),
    )
    return [f"{text} {rest}".rstrip(), *_gains(rows, gains, most)]


def _gains(rows: pd.DataFrame, gains: Comparisons, most: int) -> list[str]:
    """What more data gives; `gains` as from `comparisons`."""
    least = rows.loc[rows["percent"] > 0, "percent"].min()
    span = f"from {least} % to {most} % of the data"
    more = [f"{name} by {found.change}" for (name, _), found in gains.items() if found.above]
    less = [
        f"{name} by {found.change.turned()}" for (name, _), found in gains.items() if found.below
    ]
    flat = [name for (name, _), found in gains.items() if not found.significant]
    found = []
    if more:
        found.append(sentences((f"Scores rise significantly {span}", more)))
    if less:
        found.append(sentences((f"Scores fall significantly {span}", less)))
    if flat:
        shows = "shows" if len(flat) == 1 else "show"
        found.append(f"{listed(flat)} {shows} no significant gain {span}.")
    return found


def _evaluated(rows: pd.DataFrame, measure: str) -> dict[str, Interval]:
    """A measure of each model on the largest fraction: the mean over seeds.

    Where there is no interval, nothing is known of how far off the value may be.
    """
    chosen = rows[(rows["measure"] == measure) & rows["value"].notna() & rows["seed"].isna()]
    largest = chosen[chosen["percent"] == chosen["percent"].max()]
    low, high = largest["low"].fillna(-np.inf), largest["high"].fillna(np.inf)
    intervals = map(Interval, largest["value"], low, high)
    return dict(zip(largest["model"], intervals, strict=True))


def calibration_findings(rows: pd.DataFrame) -> list[str]:
    """Which models are better calibrated than others.

    Args:
        rows: one task's rows of the table of error analysis.
    """
    errors, chance = _evaluated(rows, "ece"), _evaluated(rows, "ece_calibrated")

    def worse(one: str, other: str) -> bool:
        by_chance = chance[one].value - chance[other].value
        return errors[one].low > errors[other].high + max(by_chance, 0)

    if len(errors) < 2:
        return []
    best = min(errors, key=lambda name: errors[name].value)
    others = sorted((name for name in errors if name != best), key=lambda name: errors[name].value)
    larger = [f"{name}, {errors[name]}" for name in others if worse(name, best)]
    near = [f"{name}, {errors[name]}" for name in others if not worse(name, best)]
    if not larger:
        return ["No model's calibration error (ECE) is significantly larger than another's."]
    text = f"**{best}** has the smallest calibration error (ECE): {errors[best]}."
    rest = sentences(("Larger", larger), ("No significant difference from it", near))
    return [f"{text} {rest}"]


def novelty_findings(rows: pd.DataFrame) -> list[str]:
    """Whether entities that the training sample has are found better than others.

    Args:
        rows: one task's rows of the table of error analysis.
    """
    gaps = _evaluated(rows, "f1_gap")
    seen, unseen = _evaluated(rows, "f1_seen"), _evaluated(rows, "f1_unseen")
    found = []
    for better, side in (("seen", 1), ("unseen", -1)):
        each = [
            f"{name} by {gap if side > 0 else gap.turned()}, "
            f"{seen[name].value:.3f} against {unseen[name].value:.3f}"
            for name, gap in gaps.items()
            if supported(gap) and side * gap.value > 0
        ]
        if each:
            found.append(
                sentences((f"F1 of {better} entities is higher (seen against unseen)", each))
            )
    silent = [name for name, gap in gaps.items() if not supported(gap)]
    if silent:
        found.append(
            sentences(("No significant difference between F1 of seen and unseen entities", silent))
        )
    return found
