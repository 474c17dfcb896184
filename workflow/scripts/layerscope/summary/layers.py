"""Findings on layers: what probes find, what they are given, and how representations change."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from layerscope.core.encodings import COMBINED, SEPARATE, encoding, is_half, main_views, part_of
from layerscope.core.variants import PRETRAINED
from layerscope.summary.intervals import (
    LEAST_SEEDS,
    Interval,
    Row,
    listed,
    over_seeds,
    supported,
)


def _of_main_views(rows: Sequence[Row]) -> list[Row]:
    chosen = set(main_views(row["view"] for row in rows))
    return [row for row in rows if row["view"] in chosen]


def probe_findings(rows: Sequence[Row], metric: str, confidence: float) -> list[str]:
    """What fine-tuning on the largest share does to the best layer's probe score.

    Args:
        rows: one task's rows of the table of probes.
        metric: of the task.
        confidence: of intervals over seeds.
    """
    tuned = [row["percent"] for row in rows if row["percent"] > 0]
    if not tuned:
        return []
    most = max(tuned)
    best: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in _of_main_views(rows):
        if row["metric"] == metric and row["value"] is not None and not is_half(row["view"]):
            by_variant = best.setdefault((row["probe"], row["view"], row["model"]), {})
            variant = row["variant"]
            if row["percent"] == most or variant == PRETRAINED:
                by_variant[variant] = max(row["value"], by_variant.get(variant, -np.inf))
    if len({row["variant"] for row in rows if row["percent"] == most}) < LEAST_SEEDS:
        return [f"Nothing is said of probes with fewer than {LEAST_SEEDS} seeds: see the figures."]
    changes: dict[tuple[str, str], list[tuple[str, Interval]]] = {}
    for (probe, view, model), by_variant in best.items():
        if PRETRAINED in by_variant and len(by_variant) > 1:
            before = by_variant.pop(PRETRAINED)
            change = over_seeds([value - before for value in by_variant.values()], confidence)
            changes.setdefault((probe, view), []).append((model, change))
    found = []
    for (probe, view), each in changes.items():
        named = f"the {probe} probe" + (f" ({view})" if view != "word" else "")
        told = [f"{model} by {change}" for model, change in each if supported(change)]
        if told:
            found.append(
                f"Fine-tuning on {most} % changes the best layer's score of {named}: "
                f"{listed(told)}."
            )
        silent = [model for model, change in each if not supported(change)]
        if silent:
            found.append(
                f"No change of the best layer's score of {named} is told apart from none in "
                f"{listed(silent)}."
            )
    return found


def input_findings(
    rows: Sequence[Row], decoders: Collection[str], metric: str, confidence: float
) -> list[str]:
    """Whether other ways to sum up the same states serve decoders better, at the best layer.

    After fine-tuning on the largest share, seed by seed: the last sub-word against the mean, and
    the linear probe's comparison of the halves against the halves alone.

    Args:
        rows: one task's rows of the table of probes.
        decoders: names of the models that are decoders.
        metric: of the task.
        confidence: of intervals over seeds.
    """
    rows = [row for row in rows if row["model"] in decoders and row["percent"] > 0]
    most = max((row["percent"] for row in rows), default=0)
    best: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in rows:
        if (row["metric"], row["percent"]) == (metric, most) and row["value"] is not None:
            by_seed = best.setdefault((row["probe"], row["view"], row["model"]), {})
            by_seed[row["seed"]] = max(row["value"], by_seed.get(row["seed"], -np.inf))
    found = []
    for probe, view in dict.fromkeys((probe, view) for probe, view, _ in best):
        plain = part_of(SEPARATE, view) if encoding(view) == COMBINED else encoding(view)
        compared: list[tuple[str, Interval]] = []
        for model in dict.fromkeys(model for _, _, model in best):
            ours = best.get((probe, view, model), {})
            theirs = best.get((probe, plain, model), {})
            seeds = sorted(ours.keys() & theirs.keys())
            if view != plain and len(seeds) >= LEAST_SEEDS:
                changes = [ours[seed] - theirs[seed] for seed in seeds]
                compared.append((model, over_seeds(changes, confidence)))
        told = [f"{model} by {change}" for model, change in compared if supported(change)]
        silent = [model for model, change in compared if not supported(change)]
        named = f"the {probe} probe ({view}) and that on {plain}, after fine-tuning on {most} %"
        if told:
            found.append(f"The best layers of {named}, differ: {listed(told)}.")
        if silent:
            found.append(f"The best layers of {named}, are not told apart: {listed(silent)}.")
    return found


def similarity_findings(rows: Sequence[Row], confidence: float) -> list[str]:
    """Where representations move: the last layer against the first block, by CKA.

    Args:
        rows: one task's rows of the table of similarity.
        confidence: of intervals over seeds.
    """
    rows = _of_main_views(rows)
    tuned = [row for row in rows if row["measure"] == "cka" and row["percent"] > 0]
    tuned = [row for row in tuned if row["value"] is not None]
    if not tuned:
        return []
    most = max(row["percent"] for row in tuned)
    curves: dict[tuple[str, str], dict[int, dict[int, float]]] = {}
    for row in tuned:
        if row["percent"] == most:
            by_seed = curves.setdefault((row["view"], row["model"]), {})
            by_seed.setdefault(row["seed"], {})[row["layer"]] = row["value"]
    found = []
    for (view, model), by_seed in curves.items():
        last = max(layer for curve in by_seed.values() for layer in curve)
        if last < 2:
            continue
        ends = [(curve[1], curve[last]) for curve in by_seed.values()]
        difference = over_seeds([first - end for first, end in ends], confidence)
        name = f"{model}" + (f" ({view})" if view != "word" else "")
        if supported(difference):
            first, end = (float(np.mean(side)) for side in zip(*ends, strict=True))
            which = "last layer moves more" if difference.value > 0 else "first block moves more"
            found.append(
                f"In {name} the {which}: CKA with the pre-trained model is {first:.3f} at layer 1 "
                f"and {end:.3f} at layer {last}, a difference of {difference}."
            )
    return found
