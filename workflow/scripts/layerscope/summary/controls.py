"""Findings on probes before fine-tuning: random weights, selectivity, code length, the score."""

from __future__ import annotations

import numpy as np
import pandas as pd

from layerscope.core.encodings import is_half, of_main_views
from layerscope.core.measures import BASELINES
from layerscope.core.variants import PRETRAINED, RANDOM, without_seed
from layerscope.summary.differences import sentences
from layerscope.summary.intervals import listed
from layerscope.summary.scores import scores_by_model


def control_findings(rows: pd.DataFrame, metric: str) -> list[str]:
    """What random weights reach, and what is left of a probe's score above its controls.

    Args:
        rows: one task's rows of the table of probes.
        metric: of the task.
    """
    untrained = rows[rows["percent"] == 0]
    whole = of_main_views(untrained)
    whole = whole[~whole["view"].map(is_half).astype(bool) & whole["value"].notna()]
    found = _random(whole, metric)
    selectivity = _at_best(whole, metric, "selectivity")
    compression = _at_best(whole, "compression", "compression")
    found += _against_random(
        selectivity, "Selectivity at the best layer of {}, pre-trained against random weights"
    )
    if not selectivity:
        found.append("Selectivity is not reported: no probe of this task has a control task.")
    found += _against_random(
        compression,
        "Largest compression of the labels by {}, pre-trained against random weights",
    )
    if not compression:
        found.append("Compression is not reported: no probe of this task has a code length.")
    useless = {
        f"{model}, {of}"
        for of, by_model in compression.items()
        for model, (before, _) in by_model.items()
        if before <= 1
    }
    if useless:
        found.append(
            "A compression of 1 or less means that no layer helps to code the labels: "
            f"{listed(sorted(useless))}."
        )
    return found


#: Values before fine-tuning and with random weights of each model, by probe.
_Controls = dict[str, dict[str, tuple[float, float | None]]]


def _at_best(rows: pd.DataFrame, chosen_by: str, metric: str) -> _Controls:
    """A metric at the layer where another is highest, of each probe and model."""
    found: _Controls = {}
    for (probe, view), own in rows.groupby(["probe", "view"], sort=False):
        name = f"the {probe} probe" + (f" ({view})" if view != "word" else "")
        for model, of_model in own.groupby("model", sort=False):
            values: dict[str, list[float]] = {}
            for variant, layers in of_model.groupby("variant", sort=False):
                by_layer = layers.pivot_table(index="layer", columns="metric", values="value")
                if {chosen_by, metric} <= set(by_layer.columns):
                    at_best = float(by_layer.loc[by_layer[chosen_by].idxmax(), metric])
                    values.setdefault(without_seed(str(variant)), []).append(at_best)
            means = {kind: float(np.mean(each)) for kind, each in values.items()}
            if PRETRAINED in means:
                pair = means[PRETRAINED], means.get(RANDOM)
                found.setdefault(name, {})[str(model)] = pair
    return found


def _against_random(controls: _Controls, words: str) -> list[str]:
    """A sentence for each probe: both values of each model."""
    return [
        sentences((words.format(name), [_pair(model, *pair) for model, pair in by_model.items()]))
        for name, by_model in controls.items()
    ]


def _pair(model: str, before: float, random: float | None) -> str:
    return f"{model} {before:.3f}" + ("" if random is None else f" against {random:.3f}")


def _random(rows: pd.DataFrame, metric: str) -> list[str]:
    """What random weights reach against the pre-trained model."""
    controls = _at_best(rows, metric, metric)
    found = _against_random(
        controls, "Best layer of {} before fine-tuning, pre-trained against random weights"
    )
    lower = [
        f"{model}, {name}"
        for name, by_model in controls.items()
        for model, (before, random) in by_model.items()
        if random is not None and before <= random
    ]
    if lower:
        found.append(f"Pre-trained weights do not score above random ones: {listed(lower)}.")
    if found:
        variants = rows["variant"].drop_duplicates()
        draws = int((variants.map(without_seed) == RANDOM).sum())
        are = "one draw" if draws == 1 else f"the mean of {draws} draws"
        found.append(
            f"Random weights are {are} and these differences are not tested: a few hundredths are "
            "no evidence of what pre-training adds."
        )
    return found


def reached_findings(probes: pd.DataFrame, scores: pd.DataFrame, metric: str) -> list[str]:
    """Whether a probe reaches a fine-tuned model's score before fine-tuning.

    Args:
        probes: one task's rows of the table of probes.
        scores: its rows of the table of scores.
        metric: of the task.
    """
    before = probes[(probes["variant"] == PRETRAINED) & (probes["metric"] == metric)]
    before = before[before["value"].notna()]
    most, after = scores_by_model(scores, metric)
    reached: list[str] = []
    missed: list[str] = []
    for model, own in before.groupby("model", sort=False):
        if model not in after or model in BASELINES:
            continue
        best = own.loc[own["value"].idxmax()]
        where = f"{best['probe']}, {best['view']}, layer {best['layer']}"
        text = f"{model}, {best['value']:.3f} ({where}) against {after[model]}"
        (reached if best["value"] >= after[model].value else missed).append(text)
    if not (reached or missed):
        return []
    found = sentences(
        (
            f"Before fine-tuning, a probe already reaches the score of the model fine-tuned on "
            f"{most} % of the data",
            reached,
        ),
        (
            "Before fine-tuning, no probe reaches the score of the model fine-tuned on "
            f"{most} % of the data",
            missed,
        ),
    )
    return [
        f"{found} The probe is the best of all layers, probes and inputs, chosen on test data, "
        "which favours it."
    ]
