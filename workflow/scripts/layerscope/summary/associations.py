"""Findings on what is associated with the score."""

from __future__ import annotations

import pandas as pd

from layerscope.core.measures import LEVEL
from layerscope.statistics.permutation import few_models
from layerscope.summary.intervals import Interval, listed

#: Associations that are named, the strongest first.
NAMED = 3
#: Gain in held-out R² below which nothing is said to be improved.
LEAST_GAIN = 0.01


def association_findings(rows: pd.DataFrame, metric: str) -> list[str]:
    """Which inner measures are associated with the score within training fractions.

    Args:
        rows: one task's rows of the table of associations.
        metric: of the task.
    """
    rows = rows[rows["metric"] == metric]
    within = rows[rows["statistic"] == "spearman within fractions"]
    placebos = within["placebo"].astype(bool)
    measures = within[~placebos]
    if measures.empty:
        return ["No inner measure differs between models within a training fraction."]
    few = few_models(int(measures["models"].max()))
    found = [few] if few else [_tested(measures), *_predicted(rows, measures)]
    return [*found, *_placebos(rows, within[placebos])]


def _tested(measures: pd.DataFrame) -> str:
    """How many inner measures are significantly associated, and the strongest of them."""
    measures = measures.dropna(subset=["p_corrected"])
    if measures.empty:
        return "Scores do not differ between models within training fractions: nothing to test."
    significant = measures[measures["p_corrected"] <= LEVEL]
    order = significant["value"].abs().sort_values(ascending=False, kind="stable").index
    how = (
        f"(permutation of {int(measures['models'].max())} independent models, corrected for the "
        "number of inner measures)"
    )
    if significant.empty:
        return (
            f"None of {len(measures)} inner measures is significantly associated with the score "
            f"within training fractions {how}."
        )
    named = [
        f"{row['inner measure']}, ρ = {Interval(row['value'], row['low'], row['high'])}, "
        f"p = {row['p_corrected']:.3f}"
        for _, row in significant.loc[order[:NAMED]].iterrows()
    ]
    verb = "is" if len(significant) == 1 else "are"
    which = "The strongest" if len(significant) > len(named) else "Strongest first"
    return (
        f"Of {len(measures)} inner measures, {len(significant)} {verb} significantly associated "
        f"with the score within training fractions {how}. {which}: {'; '.join(named)}."
    )


def _predicted(rows: pd.DataFrame, measures: pd.DataFrame) -> list[str]:
    """How many of them help to predict the score of a held-out model beyond the placebos."""
    values = rows.pivot(index="inner measure", columns="statistic", values="value")
    significant = measures.loc[measures["p_corrected"] <= LEVEL, "inner measure"]
    known = values.loc[significant].dropna(subset=["held-out R2, gain"])
    if known.empty:
        return []
    gain = known["held-out R2, gain"]
    best = known.loc[gain.idxmax()]
    placebos, both = best["held-out R2, placebos"], best["held-out R2, placebos and measure"]
    better = int((gain >= LEAST_GAIN).sum())
    if not better:
        return [
            f"None of these improves the prediction of a held-out model's score by {LEAST_GAIN:g} "
            f"of R² or more over the placebos alone (R² = {placebos:.2f})."
        ]
    verb = "improves" if better == 1 else "improve"
    return [
        f"Of these, {better} {verb} the prediction of a held-out model's score by {LEAST_GAIN:g} "
        "of R² or more over the placebos alone (not tested). The largest gain: "
        f"{gain.idxmax()}, from R² = {placebos:.2f} to {both:.2f}."
    ]


def _placebos(rows: pd.DataFrame, within: pd.DataFrame) -> list[str]:
    """What the placebos reach: within fractions, and the training fraction over all points."""
    found = []
    pooled = rows[rows["statistic"] == "spearman over all points"]
    fraction = pooled.loc[pooled["inner measure"] == "training fraction", "value"].dropna()
    if len(fraction):
        found.append(
            "Over all fine-tuned variants the training fraction alone has a rank correlation of "
            f"{fraction.iloc[0]:.2f} with the score; correlations over all variants are therefore "
            "not interpreted."
        )
    known = within.dropna(subset=["value"])
    if len(known):
        named = [f"{row['inner measure']}, ρ = {row['value']:.2f}" for _, row in known.iterrows()]
        found.append(f"For comparison, placebos within training fractions: {listed(named)}.")
    return found
