"""Findings on attention heads."""

from __future__ import annotations

import pandas as pd

from layerscope.summary.intervals import above, listed, over_seeds


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
