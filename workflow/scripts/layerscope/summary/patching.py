"""Findings on which layers' change matters for the score: layers of before and after exchanged."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from layerscope.summary.intervals import LEAST_SEEDS, Interval, listed, over_seeds, supported

#: Which model one layer is put into: how it is said, and the sign of what is lost or gained.
DIRECTIONS = {
    "into-finetuned": ("putting one layer back to its weights before fine-tuning", "lowers", -1),
    "into-pretrained": ("putting one fine-tuned layer into the model before it", "raises", 1),
}


def patching_findings(rows: pd.DataFrame, metric: str, confidence: float) -> list[str]:
    """At which layers the score falls, or rises, when one layer alone is exchanged.

    Intervals over seeds hold for all layers of a model and direction at once (Bonferroni), so that
    the largest change may be picked from them.

    Args:
        rows: one task's rows of the table of patched models.
        metric: of the task.
        confidence: of intervals.
    """
    rows = rows[(rows["metric"] == metric) & (rows["patch"] == "one-layer")]
    if rows.empty:
        return []
    if rows["seed"].nunique() < LEAST_SEEDS:
        few = f"Nothing is said of single layers with fewer than {LEAST_SEEDS} seeds"
        return [f"{few}: see the figures."]
    found = [text for direction in DIRECTIONS for text in _of(rows, direction, confidence)]
    return [
        *found,
        "Each of these intervals holds for all layers of its model and direction together.",
    ]


def _of(rows: pd.DataFrame, direction: str, confidence: float) -> Iterator[str]:
    """Of each model how many layers change the score, and the one that does most on average."""
    what, changes, sign = DIRECTIONS[direction]
    silent = []
    chosen = rows[rows["direction"] == direction]
    for model, own in chosen.groupby("model", sort=False):
        by_layer = sign * own.pivot(index="seed", columns="layer", values="change")
        each = 1 - (1 - confidence) / by_layer.shape[1]
        intervals = {layer: over_seeds(by_layer[layer], each) for layer in by_layer}
        told: dict[int, Interval] = {
            int(layer): found
            for layer, found in intervals.items()
            if supported(found) and found.value > 0
        }
        if not told:
            silent.append(str(model))
            continue
        most = max(told, key=lambda layer: told[layer].value)
        yield (
            f"In {model}, {what} {changes} the score at {len(told)} of {by_layer.shape[1]} layers "
            f"(from 0, the embeddings), on average most at layer {most}: by {told[most]}."
        )
    if silent:
        start = f"{what.capitalize()} {changes} the score"
        yield f"{start} significantly at no layer: {listed(silent)}."
