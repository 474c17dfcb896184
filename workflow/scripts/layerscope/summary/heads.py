"""Findings on attention heads and on what the score depends on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from layerscope.summary.intervals import LEAST_SEEDS, above, listed, over_seeds, supported


def head_findings(rows: pd.DataFrame, confidence: float) -> list[str]:
    """How many heads change by more than two seeds differ, and whose change most.

    Args:
        rows: one task's rows of the table of heads; the largest training fraction counts.
        confidence: of intervals over seeds.
    """
    if rows.empty:
        return []
    most = rows["percent"].max()
    known = rows[rows["percent"] == most].dropna(subset=["jsd_low", "ceiling_high"])
    if known.empty:
        return ["With 1 seed nothing is said of heads: how far two seeds differ is not known."]
    counts, means = [], {}
    for model, own in known.groupby("model", sort=False):
        heads = len(own[["layer", "head"]].drop_duplicates())
        seeds, null = (_heads_above(own, end) for end in ("ceiling_high", "null"))
        further = f", {null} of them by more than the heads of a layer differ" if null else ""
        counts.append(f"{model} {seeds} of {heads}{further}")
        averages = own.groupby("seed")["moved"].mean().dropna()
        if len(averages):
            means[model] = over_seeds(averages, confidence)
    found = [
        f"Attention heads that fine-tuning on {most} % of the data changes by more than two seeds "
        f"differ, in every seed: {listed(counts)}."
    ]
    order = sorted(means, key=lambda name: -means[name].value)
    less = [f"{name}, {means[name]}" for name in order if above(means[order[0]], means[name])]
    if less:
        found.append(
            f"On the scale from two seeds (0) to another head (1), the heads of {order[0]} change "
            f"most: {means[order[0]]} on average. Significantly less: {listed(less)}."
        )
    elif len(order) > 1:
        found.append("No model's heads change significantly more than the others' on average.")
    return found


def _heads_above(rows: pd.DataFrame, end: str) -> int:
    """Heads of a model whose divergence, with its interval, is above a column in every seed."""
    beyond = (rows["jsd_low"] > rows["ceiling_high"]) & (rows["jsd_low"] > rows[end])
    return int(beyond.groupby([rows["layer"], rows["head"]]).all().sum())


def intervention_findings(rows: pd.DataFrame, metric: str, confidence: float) -> list[str]:
    """What masking the most changed heads, and erasing the label, costs above its control.

    Of the fractions of heads the one nearest to a quarter is used, and of the layers the mean, so
    that nothing is picked by its outcome.

    Args:
        rows: one task's rows of the table of interventions.
        metric: of the task.
        confidence: of intervals over seeds.
    """
    rows = rows[rows["metric"] == metric]
    if rows.empty:
        return []
    if rows["seed"].nunique() < LEAST_SEEDS:
        return [
            f"With fewer than {LEAST_SEEDS} seeds nothing is said of interventions: see the "
            "figures."
        ]
    shares = rows.loc[rows["share"] > 0, "share"].astype(int)
    share = min(shares, key=lambda share: abs(share - 25))
    looked_at = rows[rows["share"].isin([np.nan, share])]
    costs = -looked_at.groupby(["model", "intervention", "seed"])["change"].mean()
    compared = {
        ("heads-most", "heads-least"): f"masking the most changed {share} % of heads costs {{}} "
        "more score than masking the least changed",
        ("heads-most", "heads-random"): f"masking the most changed {share} % of heads costs {{}} "
        "more score than masking as many random ones",
        ("erased", "erased-control"): "erasing the label after a layer costs {} more score, on "
        "average over layers, than erasing permuted labels",
    }
    found = []
    for (name, control), words in compared.items():
        for model in rows["model"].unique():
            more = costs[model].unstack("intervention")
            difference = over_seeds((more[name] - more[control]).dropna(), confidence)
            if supported(difference):
                found.append(f"In {model}, {words.format(difference)}.")
    return found or ["No intervention costs significantly more than its control."]
