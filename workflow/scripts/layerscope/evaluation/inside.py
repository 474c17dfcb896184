"""What is inside fine-tuned models, layer by layer, in one form for all measures."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd

from layerscope.core.encodings import of_main_views
from layerscope.core.measures import of_main_rows
from layerscope.core.table_files import Sources
from layerscope.statistics.crossed import MANY, Spread, half_width, seed_variance, two_sided_p

#: The measures beside probes, whose names are those of probe and view.
JSD, WEIGHTS = "attention JSD", "change of weights"
#: Begins the name of a similarity to the pre-trained model; the view follows.
CKA = "CKA, "
#: Columns of what `by_layer` gives.
COLUMNS = ["measure", "model", "variant", "percent", "seed", "layer", "depth", "value", "error"]


def by_layer(sources: Sources, task: str, metric: str, confidence: float) -> pd.DataFrame:
    """Inner measures of a task's variants that are fine-tuned on the largest fraction.

    Scores of probes in `metric`, and CKA with the pre-trained model, both in the main views; JSD of
    attention before and after, the mean over heads; the relative change of weights. Those whose
    tables the study lacks are left out.

    Args:
        sources: `probes`, and `attention`, `similarity` and `weight_change` if there are any.
        task: its name.
        metric: that the task is judged by.
        confidence: of the intervals in the tables.

    Returns:
        `COLUMNS`; `error` is the standard error over whatever the table's interval of one variant
        is over (test examples, and rows that probes learn from), 0 where it has none.
    """
    found = [_probes(sources.table("probes", task), metric, confidence)]
    if "attention" in sources.paths and task in sources.tasks("attention"):
        found.append(_attention(sources.table("attention", task, ["jsd"]), confidence))
    if "similarity" in sources.paths:
        found.append(_similarity(sources.table("similarity", task, ["cka"])))
    if "weight_change" in sources.paths and task in sources.tasks("weight_change"):
        rows = sources.table("weight_change", task, ["relative_change"])
        found.append(rows[rows["matrices"] == "all"].assign(measure=WEIGHTS, error=0.0)[COLUMNS])
    rows = pd.concat([each for each in found if len(each)] or found)
    return rows[rows["value"].notna() & (rows["percent"] == rows["percent"].max())]


def _error(rows: pd.DataFrame, confidence: float) -> pd.Series:
    """Of the wider side: an interval of a score near 1 is cut off on the other."""
    far = np.maximum(rows["high"] - rows["value"], rows["value"] - rows["low"])
    return far / NormalDist().inv_cdf((1 + confidence) / 2)


def _probes(rows: pd.DataFrame, metric: str, confidence: float) -> pd.DataFrame:
    chosen = of_main_views(of_main_rows(rows))
    chosen = chosen[(chosen["metric"] == metric) & (chosen["percent"] > 0)]
    names = chosen["probe"] + " probe, " + chosen["view"] + " view"
    return chosen.assign(measure=names, error=_error(chosen, confidence))[COLUMNS]


def _attention(rows: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Means over heads. They share their examples: their errors are taken to go together."""
    tuned = rows[rows["percent"] > 0]
    tuned = tuned.assign(error=_error(tuned, confidence).fillna(0.0))
    keys = ["model", "variant", "percent", "seed", "layer"]
    means = tuned.groupby(keys, sort=False)[["value", "error"]].mean().reset_index()
    last = means.groupby("model")["layer"].transform("max")
    return means.assign(measure=JSD, depth=means["layer"] / last)[COLUMNS]


def _similarity(rows: pd.DataFrame) -> pd.DataFrame:
    tuned = of_main_views(rows[rows["percent"] > 0])
    return tuned.assign(measure=CKA + tuned["view"] + " view", error=0.0)[COLUMNS]


def difference(
    one: pd.DataFrame, other: pd.DataFrame, confidence: float
) -> tuple[float, float, float, float]:
    """Difference of means over seeds, its interval and two-sided p.

    Both sides are taken to be drawn apart, in seeds (Welch) and in what `error` is over: they
    share samples and test examples, which can only make the true interval narrower.

    Args:
        one, other: a measure of two models, one row for each seed.
        confidence: of the interval.

    Returns:
        Other less one; NaN for interval and p with one seed, or where nothing varies.
    """
    value = float(other["value"].mean() - one["value"].mean())
    unknown = value, float("nan"), float("nan"), float("nan")
    if min(len(one), len(other)) < 2:
        return unknown
    errors = float((one["error"] ** 2).mean() + (other["error"] ** 2).mean())
    spread = Spread(*seed_variance([one["value"], other["value"]]), errors, MANY)
    p = two_sided_p(value, spread)
    if np.isnan(p):
        return unknown
    half = half_width(spread, confidence)
    return value, value - half, value + half, p
