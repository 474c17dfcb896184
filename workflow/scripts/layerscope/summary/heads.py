"""Findings on attention heads and on what the score depends on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.summary.intervals import LEAST_SEEDS, Row, above, listed, over_seeds, supported


def head_findings(rows: Sequence[Row], confidence: float) -> list[str]:
    """How many heads move by more than two seeds differ, and whose heads move most.

    Args:
        rows: one task's rows of the table of heads; the largest share counts.
        confidence: of intervals over seeds.
    """
    if not rows:
        return []
    most = max(row["percent"] for row in rows)
    known = [
        row
        for row in rows
        if row["percent"] == most and None not in (row["jsd_low"], row["ceiling_high"])
    ]
    if not known:
        return ["Nothing is said of heads with one seed: how far two seeds differ is not known."]
    counts, means = [], {}
    for model in dict.fromkeys(row["model"] for row in known):
        own = [row for row in known if row["model"] == model]
        heads = len({(row["layer"], row["head"]) for row in own})
        seeds, null = (_heads_above(own, end) for end in ("ceiling_high", "null"))
        further = f", {null} of them by more than heads of a layer differ" if null else ""
        counts.append(f"{model} {seeds} of {heads}{further}")
        by_seed: dict[int, list[float]] = {}
        for row in own:
            if row["moved"] is not None:
                by_seed.setdefault(row["seed"], []).append(row["moved"])
        if by_seed:
            averages = [float(np.mean(values)) for values in by_seed.values()]
            means[model] = over_seeds(averages, confidence)
    found = [
        f"Attention heads that fine-tuning on {most} % changes by more than two seeds differ, in "
        f"every seed: {listed(counts)}."
    ]
    order = sorted(means, key=lambda name: -means[name].value)
    less = [f"{name}, {means[name]}" for name in order if above(means[order[0]], means[name])]
    if less:
        found.append(
            f"On the scale from two seeds (0) to another head (1) the heads of {order[0]} move "
            f"most, on average {means[order[0]]}. Less: {listed(less)}."
        )
    elif len(order) > 1:
        found.append("Whose heads move most on average is not told apart.")
    return found


def _heads_above(rows: Sequence[Row], end: str) -> int:
    """Heads of a model whose divergence, with its interval, is above a column in every seed."""
    places: dict[tuple[int, int], list[bool]] = {}
    for row in rows:
        beyond = row["jsd_low"] > row["ceiling_high"]
        beyond &= row[end] is not None and row["jsd_low"] > row[end]
        places.setdefault((row["layer"], row["head"]), []).append(beyond)
    return sum(map(all, places.values()))


def intervention_findings(rows: Sequence[Row], metric: str, confidence: float) -> list[str]:
    """What masking the most changed heads, and erasing the label, costs above its control.

    Of the shares of heads the one nearest to a quarter is looked at, and of the layers the mean, so
    that nothing is picked by its outcome.

    Args:
        rows: one task's rows of the table of interventions.
        metric: of the task.
        confidence: of intervals over seeds.
    """
    rows = [row for row in rows if row["metric"] == metric]
    if not rows:
        return []
    if len({row["seed"] for row in rows}) < LEAST_SEEDS:
        return [
            f"Nothing is said of interventions with fewer than {LEAST_SEEDS} seeds: see the "
            "figures."
        ]
    share = min((r["share"] for r in rows if r["share"]), key=lambda share: abs(share - 25))
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
        for model in dict.fromkeys(row["model"] for row in rows):
            costs: dict[str, dict[int, list[float]]] = {name: {}, control: {}}
            for row in rows:
                looked_at = row["model"] == model and row["share"] in (None, share)
                if looked_at and row["intervention"] in costs:
                    by_seed = costs[row["intervention"]]
                    by_seed.setdefault(row["seed"], []).append(-row["change"])
            more = [
                float(np.mean(values) - np.mean(costs[control][seed]))
                for seed, values in costs[name].items()
            ]
            difference = over_seeds(more, confidence)
            if supported(difference):
                found.append(f"In {model} {words.format(difference)}.")
    return found
