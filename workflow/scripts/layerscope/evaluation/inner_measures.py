"""Inner measures of fine-tuned variants, and the points that they make with downstream scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from layerscope.core.encodings import of_main_views
from layerscope.core.variants import PRETRAINED, is_finetuned

#: What is taken from the table of attention, and its name as an inner measure.
ATTENTION = {"cosine": "attention cosine", "jsd": "attention JSD"}

VARIANT = ["model", "variant"]


def centre_of_mass(depth: Sequence[float], weight: Sequence[float]) -> float:
    """Mean depth weighted by `weight` (0 or more); NaN if all weights are 0."""
    total = math.fsum(weight)
    if total <= 0:
        return float("nan")
    return math.fsum(d * w for d, w in zip(depth, weight, strict=True)) / total


def _mean(values: Sequence[float]) -> float:
    """Exactly rounded, whatever the order."""
    return math.fsum(values) / len(values)


def probe_measures(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Inner measures of the fine-tuned variants from one task's main rows of the table of probes.

    Of main views alone (`main_views`): others would be the same question once more. For each
    probe and view, of its score by layer in `metric`: that of the best layer; the mean of
    all layers; the gain of the best layer over the pre-trained model's best layer; and the depth
    (0 embeddings, 1 last layer), the centre of mass of what lies above the worst layer.

    Returns:
        Columns `inner measure`, `model`, `variant` and `inner`, its value.
    """
    chosen = of_main_views(rows[["model", "variant", "probe", "view", "metric", "depth", "value"]])
    chosen = chosen[(chosen["metric"] == metric) & chosen["value"].notna()]
    found = []
    for (probe, view), own in chosen.groupby(["probe", "view"], sort=False):
        before = own[own["variant"] == PRETRAINED].groupby("model")["value"].max()
        for (model, variant), curve in own.groupby(VARIANT, sort=False):
            if not is_finetuned(variant):
                continue
            score = curve.sort_values("depth")["value"]
            values = {
                "best layer": score.max(),
                "mean of layers": _mean(score),
                "gain of best layer": score.max() - before.get(model, np.nan),
                "depth": centre_of_mass(sorted(curve["depth"]), score - score.min()),
            }
            name = f"{probe} probe, {view} view: "
            found += [(name + ending, model, variant, value) for ending, value in values.items()]
    return _inner(found)


def attention_measures(rows: pd.DataFrame) -> pd.DataFrame:
    """Inner measures of the fine-tuned variants from one task's rows of the table of attention.

    The mean of all layers and heads of `cosine` and of `jsd` (bits), and the depth of the
    divergence: its centre of mass over blocks, the k-th of n standing at k / n.

    Returns:
        Columns as of `probe_measures`.
    """
    tuned = rows[rows["percent"] > 0]
    found = []
    for measure, name in ATTENTION.items():
        for variant, own in tuned[tuned["measure"] == measure].groupby(VARIANT, sort=False):
            found.append((name, *variant, _mean(own["value"])))
    for variant, own in tuned[tuned["measure"] == "jsd"].groupby(VARIANT, sort=False):
        means = own.groupby("layer")["value"].agg(_mean)
        first, last = means.index.min(), means.index.max()
        depth = (means.index - first + 1) / (last - first + 1)
        found.append(("attention JSD depth", *variant, centre_of_mass(depth, means)))
    return _inner(found)


def _inner(found: Sequence[tuple[str, str, str, float]]) -> pd.DataFrame:
    columns = ["inner measure", *VARIANT, "inner"]
    return pd.DataFrame(found, columns=columns).astype({"inner": float})


def inner_measures(probes: pd.DataFrame, attention: pd.DataFrame, metric: str) -> pd.DataFrame:
    """All inner measures of one task; probes are scored in `metric`, as the task is."""
    found = [probe_measures(probes, metric), attention_measures(attention)]
    return pd.concat(found)


def points(scores: pd.DataFrame, inner: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The fine-tuned variants that have both a score in `metric` and the inner measure.

    Args:
        scores: one task's rows of the table of scores; means over seeds and baselines are no
            points.
        inner: one inner measure, a row for each variant; columns as of `probe_measures`.
        metric: of the score.

    Returns:
        The table of points, without the task, in the order of the scores.
    """
    chosen = scores.loc[
        (scores["metric"] == metric) & scores["seed"].notna() & scores["value"].notna(),
        [*VARIANT, "percent", "seed", "metric", "value"],
    ]
    found = chosen.rename(columns={"value": "score"}).merge(inner, on=VARIANT)
    return found[np.isfinite(found["inner"])]
