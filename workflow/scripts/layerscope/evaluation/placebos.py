"""Placebos: what differs between fine-tuned variants and says nothing of their inner workings.

An inner measure that is no more closely associated with the score than these explains nothing.
"""

from __future__ import annotations

import pandas as pd

from layerscope.core.encodings import of_main_views
from layerscope.core.measures import BASELINES, chosen_probe
from layerscope.core.variants import PRETRAINED
from layerscope.evaluation.inner_measures import VARIANT

FRACTION = "training fraction"
STEPS = "optimiser steps"
BEFORE = "pre-trained model's probe"
WEIGHTS = "change of weights"
#: In the order of the table.
PLACEBOS = (FRACTION, STEPS, BEFORE, WEIGHTS)


def placebo_measures(
    scores: pd.DataFrame, probes: pd.DataFrame, weights: pd.DataFrame, metric: str
) -> pd.DataFrame:
    """Placebos of the fine-tuned variants of one task.

    The training fraction (percent); the number of optimiser steps; the score of the pre-trained
    model's best layer, by the probe and view that `chosen_probe` names; and the relative change of
    weights, the mean over blocks.

    Args:
        scores: the task's rows of the table of scores, with a column `steps` if it is known.
        probes: the task's main rows of the table of probes.
        weights: the task's rows of the table of changes of weights; may be empty.
        metric: of the score, in which probes are scored too.

    Returns:
        Columns as of `inner_measures`.
    """
    rows = scores[scores["seed"].notna() & (scores["metric"] == metric)]
    rows = rows[~rows["model"].isin(BASELINES)]
    found = [rows[VARIANT].assign(inner=rows["percent"], name=FRACTION)]
    if "steps" in rows:
        known = rows[rows["steps"].notna()]
        found.append(known[VARIANT].assign(inner=known["steps"], name=STEPS))
    before = _before(probes, metric)
    known = rows[rows["model"].isin(before.index)]
    found.append(known[VARIANT].assign(inner=known["model"].map(before), name=BEFORE))
    blocks = weights[(weights["matrices"] == "all") & (weights["layer"] > 0)]
    changes = blocks.groupby(VARIANT, sort=False)["value"].mean().rename("inner").reset_index()
    found.append(changes.assign(name=WEIGHTS))
    table = pd.concat([each.astype({"inner": float}) for each in found])
    return table.rename(columns={"name": "inner measure"}).reset_index(drop=True)


def _before(probes: pd.DataFrame, metric: str) -> pd.Series:
    """Score of the best layer of each pre-trained model."""
    chosen = of_main_views(probes[["model", "variant", "probe", "view", "metric", "value"]])
    chosen = chosen[(chosen["metric"] == metric) & chosen["value"].notna()]
    name = chosen["probe"] + " probe, " + chosen["view"] + " view"
    own = chosen[(name == chosen_probe(list(name))) & (chosen["variant"] == PRETRAINED)]
    return own.groupby("model")["value"].max()
