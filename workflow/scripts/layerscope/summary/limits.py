"""What a study cannot conclude, and what it would need."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from layerscope.core.measures import BASELINES
from layerscope.statistics.permutation import LEAST_UNITS
from layerscope.summary.intervals import LEAST_SEEDS, listed, number


def limit_findings(own: Mapping[str, pd.DataFrame]) -> list[str]:
    """What is not supported, whatever the values are: too few seeds or models, idle training.

    Args:
        own: one task's rows of each table that the study has.
    """
    scores = own["scores"]
    tuned = scores[(scores["percent"] > 0) & ~scores["model"].isin(BASELINES)]
    seeds = int(tuned["seed"].nunique())
    models = independent_models(own, int(tuned["model"].nunique()))
    found = [*_untested(own.get("significance"), seeds), *_idle(own.get("training"))]
    if seeds < LEAST_SEEDS:
        found.append(
            f"With {number(seeds, 'seed')} nothing is said of how fine-tuning changes probes, nor "
            f"of interventions: at least {LEAST_SEEDS} seeds are needed."
        )
    if models < LEAST_UNITS:
        found.append(
            f"With {number(models, 'independent model')} nothing follows about models in "
            f"general: at least {LEAST_UNITS} are needed."
        )
    return found


def independent_models(own: Mapping[str, pd.DataFrame], models: int) -> int:
    """Models that are not derived from each other, as the association counts them, or all."""
    associated = own.get("association")
    return models if associated is None or associated.empty else int(associated["models"].max())


def _untested(differences: pd.DataFrame | None, seeds: int) -> list[str]:
    """What tests of scores lack."""
    if differences is None:
        return ["No difference between scores can be claimed: the study makes no tests."]
    if differences.empty:
        return []
    if seeds < 2:
        return [
            "No difference between scores can be claimed with 1 seed: training again may reverse "
            f"it. At least 2 seeds are needed, and {LEAST_SEEDS} or more unless differences are "
            "large."
        ]
    between = differences[differences["model"] != differences["other"]]
    between = between[~between["model"].isin(BASELINES)]
    half = ((between["high"] - between["low"]) / 2).median()
    text = "No significant difference does not mean that scores are alike."
    if pd.notna(half):
        text += f" With {seeds} seeds, intervals of differences between models reach "
        text += f"{half:.3f} to either side (median)."
    if seeds < LEAST_SEEDS:
        text += f" At least {LEAST_SEEDS} seeds are needed to find any but large differences."
    return [text]


def _idle(training: pd.DataFrame | None) -> list[str]:
    """Fine-tunings whose loss has stayed at that of guessing."""
    if training is None:
        return []
    idle = training[~training["learned"].astype(bool)]
    each = [
        f"{model} on {percent} % (seed{'s' if len(own) > 1 else ''} "
        f"{listed(map(str, own['seed']))}; {_steps(own['steps'])})"
        for (model, percent), own in idle.groupby(["model", "percent"], sort=False)
    ]
    if not each:
        return []
    return [
        "Training loss stayed at that of guessing, so these models have not learned the task and "
        f"their scores say nothing about it: {listed(each)}."
    ]


def _steps(steps: pd.Series) -> str:
    least, most = int(steps.min()), int(steps.max())
    return f"{least} steps" if least == most else f"{least} to {most} steps"
