"""Findings on layers: what probes find, what they are given, and how representations change."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from layerscope.core.encodings import COMBINED, SEPARATE, encoding, is_half, of_main_views, part_of
from layerscope.summary.intervals import (
    LEAST_SEEDS,
    Interval,
    listed,
    over_seeds,
    supported,
)


def probe_findings(rows: pd.DataFrame, metric: str) -> list[str]:
    """What fine-tuning on the largest training fraction does to the last layer's probe score.

    A gain is claimed where its interval over test examples, seeds and probe rows excludes 0. The
    last layer is chosen by nothing; of the best one, intervals exclude 0 far too often.

    Args:
        rows: one task's rows of the table of probes, of one split that probes learned from.
        metric: of the task.
    """
    most = rows["percent"].max()
    if not most > 0:
        return []
    if rows.loc[rows["percent"] == most, "seed"].nunique() < LEAST_SEEDS:
        return [f"With fewer than {LEAST_SEEDS} seeds nothing is said of probes: see the figures."]
    chosen = of_main_views(rows)
    found = []
    if without := [model for model, own in chosen.groupby("model", sort=False) if not _whole(own)]:
        found.append(
            f"Nothing is said of the last layer of {listed(without)}, which is not among those "
            "stored (`activations.layers`): see the figures."
        )
    last = (chosen["depth"] == 1) & chosen["seed"].isna() & (chosen["percent"] == most)
    chosen = chosen[last & (chosen["metric"] == metric) & chosen["gain"].notna()]
    chosen = chosen[~chosen["view"].map(is_half).astype(bool)]
    if set(chosen["rows"]) == {"train"}:
        found.append(
            "Probes learned from the data that models were fine-tuned on, so that gains contain "
            "what was memorised."
        )
    any_told = False
    for (probe, view), own in chosen.groupby(["probe", "view"], sort=False):
        gained = zip(own["gain"], own["gain_low"], own["gain_high"], strict=True)
        each = [(model, Interval(*gain)) for model, gain in zip(own["model"], gained, strict=True)]
        named = f"the {probe} probe" + (f" ({view})" if view != "word" else "")
        told = [f"{model} by {change}" for model, change in each if supported(change)]
        if told:
            any_told = True
            found.append(
                f"Fine-tuning on {most} % of the data significantly changes the last layer's score "
                f"of {named}: {listed(told)}."
            )
        silent = [model for model, change in each if not supported(change)]
        if silent:
            found.append(
                f"Fine-tuning does not significantly change the last layer's score of {named}: "
                f"{listed(silent)}."
            )
    if any_told:
        found.append(
            "Of a probe with `row_draws: 0`, which is a BiLSTM-CRF's default, this holds for the "
            "rows that it learned from and its one initialisation: intervals leave both out."
        )
    return found


def _whole(rows: pd.DataFrame) -> bool:
    """Whether a model's rows by layer go up to its last one."""
    return bool((rows["depth"] == 1).any())


def input_findings(
    rows: pd.DataFrame, decoders: Collection[str], metric: str, confidence: float
) -> list[str]:
    """Whether other ways to sum up the same states serve decoders better, at the best layer.

    After fine-tuning on the largest training fraction, seed by seed: the last sub-word against the
    mean, and the linear probe's comparison of the halves against the halves alone.

    Args:
        rows: one task's rows of the table of probes.
        decoders: names of the models that are decoders.
        metric: of the task.
        confidence: of intervals over seeds.
    """
    rows = rows[rows["model"].isin(decoders) & (rows["percent"] > 0)]
    most = rows["percent"].max()
    rows = rows[(rows["metric"] == metric) & (rows["percent"] == most) & rows["value"].notna()]
    by_input = rows.groupby(["probe", "view"], sort=False)
    best = {place: own.groupby(["model", "seed"])["value"].max() for place, own in by_input}
    found = []
    for (probe, view), scores in best.items():
        plain = part_of(SEPARATE, view) if encoding(view) == COMBINED else encoding(view)
        compared: list[tuple[str, Interval]] = []
        if view != plain and (probe, plain) in best:
            changes = (scores - best[probe, plain]).dropna()
            compared = [
                (model, over_seeds(changes[model], confidence))
                for model in rows["model"].unique()
                if len(changes[changes.index.get_level_values("model") == model]) >= LEAST_SEEDS
            ]
        told = [f"{model} by {change}" for model, change in compared if supported(change)]
        silent = [model for model, change in compared if not supported(change)]
        named = f"the {probe} probe on {view} and on {plain}, after fine-tuning on {most} %"
        if told:
            found.append(f"Over seeds, the scores of {named} differ: {listed(told)}.")
        if silent:
            found.append(f"Over seeds, the scores of {named} do not differ: {listed(silent)}.")
    if found:
        found.append(
            "These intervals are over seeds alone, for these test examples and probe rows: they do "
            "not say that other examples would show the same."
        )
    return found


def similarity_findings(rows: pd.DataFrame, confidence: float) -> list[str]:
    """Where representations change: the last layer against the first block, by CKA.

    Where these are not stored, it is the deepest of those that are, and the first of the blocks.

    Args:
        rows: one task's rows of the table of similarity.
        confidence: of intervals over seeds.
    """
    rows = of_main_views(rows)
    tuned = rows[(rows["measure"] == "cka") & (rows["percent"] > 0) & rows["value"].notna()]
    most = tuned["percent"].max()
    found, silent = [], []
    largest = tuned[tuned["percent"] == most].groupby(["view", "model"], sort=False)
    for (view, model), own in largest:
        blocks = own.loc[own["layer"] > 0, "layer"]
        first, last = blocks.min(), blocks.max()
        if not first < last:
            continue
        curves = own.pivot(index="seed", columns="layer", values="value")
        difference = over_seeds(curves[first] - curves[last], confidence)
        name = f"{model}" + (f" ({view})" if view != "word" else "")
        ends = (first == 1) and _whole(own)
        if supported(difference):
            names = [f"layer {first}", f"layer {last}"]
            if ends:
                names = ["the first block", "the last layer"]
            found.append(
                f"In {name}, {names[difference.value > 0]} changes more: CKA with the pre-trained "
                f"model is {curves[first].mean():.3f} at layer {first} and "
                f"{curves[last].mean():.3f} at layer {last}, a difference of {difference}."
            )
        else:
            silent.append(name if ends else f"{name} (layers {first} and {last} stand for them)")
    if silent:
        found.append(
            "The last layer and the first block do not change differently over seeds: "
            f"{listed(silent)}."
        )
    return found
