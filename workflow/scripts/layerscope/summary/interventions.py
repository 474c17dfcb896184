"""Findings on what a model's score depends on: masked heads, and an erased label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.statistics.random_sets import LEAST_DRAWS, beyond_random
from layerscope.summary.intervals import LEAST_SEEDS, Interval, listed, over_seeds, supported

CHANGED = {"heads-most": "changed most", "heads-least": "changed least"}
ABLATIONS = {"zero": "set to 0", "mean": "set to their means"}
FITTED = {
    "read": "at the token that the head reads",
    "mean": "at all tokens, fitted to their mean",
}


class Compared(NamedTuple):
    """What an intervention costs more than its random counterparts."""

    more: Interval  # over seeds
    beyond: bool  # whether it lies outside the distribution of the random ones

    @property
    def claimed(self) -> bool:
        """Whether both the seeds and the random counterparts allow a claim."""
        return self.beyond and supported(self.more)


def intervention_findings(rows: pd.DataFrame, metric: str, confidence: float) -> list[str]:
    """What masked heads cost above random ones, and an erased label above an equal edit.

    Of the fractions of heads the one nearest to a quarter is looked at, and of the layers the mean,
    so that nothing is picked by its outcome.

    Args:
        rows: one task's rows of the table of interventions.
        metric: of the task.
        confidence: of intervals.
    """
    rows = rows[rows["metric"] == metric]
    if rows.empty:
        return []
    checked = list(_checked(rows))
    if rows["seed"].nunique() < LEAST_SEEDS:
        few = f"Nothing is claimed of interventions with fewer than {LEAST_SEEDS} seeds"
        return [f"{few}: see the figures.", *checked]
    return [*_heads(rows, confidence), *_erased(rows, confidence), *checked]


def _compared(
    chosen: pd.Series, random: npt.NDArray[np.float64], pooled: bool, confidence: float
) -> Compared:
    """Costs of an intervention by seed beside those of random ones, seeds x draws."""
    more = over_seeds(chosen.to_numpy() - random.mean(axis=1), confidence)
    draws = random.reshape(1, -1) if pooled else random
    difference, half = beyond_random(chosen.to_numpy(), draws, confidence)
    return Compared(more, bool(abs(difference) > half))


def _heads(rows: pd.DataFrame, confidence: float) -> Iterator[str]:
    """Of each model the most and the least changed heads against random ones of their layers."""
    by_means = rows.loc[rows["ablation"] == "mean", "share"]
    if by_means.empty:
        return
    share = int(by_means.iloc[0])
    heads = rows[rows["share"] == share]
    draws = heads["draw"].nunique()
    if draws < LEAST_DRAWS:
        yield f"Nothing is claimed of masked heads with fewer than {LEAST_DRAWS} random draws."
        return
    alike = []
    for (model, ablation), own in heads.groupby(["model", "ablation"], sort=False):
        random = -own[own["intervention"] == "heads-random"].pivot(
            index="seed", columns="draw", values="change"
        )
        for name, changed in CHANGED.items():
            chosen = -own[own["intervention"] == name].set_index("seed")["change"]
            found = _compared(chosen[random.index], random.to_numpy(), False, confidence)
            if not found.claimed:
                alike.append(f"{model}, {changed}, {ABLATIONS[ablation]}")
                continue
            costly = found.more.value > 0
            yield (
                f"In {model}, masking the {share} % of each layer's heads that {changed} "
                f"({ABLATIONS[ablation]}) lowers the score by "
                f"{found.more if costly else found.more.turned()} {'more' if costly else 'less'} "
                "than masking random heads of the same layers."
            )
    if alike:
        yield f"No significant difference from random heads of the same layers: {listed(alike)}."


def _erased(rows: pd.DataFrame, confidence: float) -> Iterator[str]:
    """Of each model the erased label against its control, on average over layers."""
    costs = (
        -rows.dropna(subset="fitted")
        .groupby(["fitted", "model", "intervention", "seed"])["change"]
        .mean()
    )
    alike = []
    for fitted, where in FITTED.items():
        for model in rows["model"].unique():
            own, control = (costs[fitted, model, name] for name in ("erased", "erased-control"))
            random = control[own.index].to_numpy()[:, None]
            found = _compared(own, random, True, confidence)
            if found.claimed and found.more.value > 0:
                yield (
                    f"In {model}, erasing the label after a layer ({where}) lowers the score by "
                    f"{found.more} more, on average over layers, than a control edit of the same "
                    "size."
                )
            else:
                alike.append(f"{model}, {where}")
    if alike:
        yield (
            "Erasing the label lowers the score by no significantly larger amount than its "
            f"control: {listed(alike)}."
        )


def _checked(rows: pd.DataFrame) -> Iterator[str]:
    """What a fresh probe still finds, as means over layers and seeds, without a claim."""
    erased = rows[rows["fitted"] == "read"]
    columns = ["edit", "probe", "probe_before", "probe_chance"]
    means = erased.groupby(["model", "intervention"], sort=False)[columns].mean()
    for model in erased["model"].unique():
        own, control = (means.loc[(model, name)] for name in ("erased", "erased-control"))
        if own.isna().any():
            continue
        yield (
            f"In {model}, after the label is erased at the token that the head reads, a fresh "
            f"linear probe of that token still scores {own['probe']:.3f} (before "
            f"{own['probe_before']:.3f}, after the control {control['probe']:.3f}, by the "
            f"commonest label {own['probe_chance']:.3f}; means over layers and seeds). The "
            f"erasure moves the token by {own['edit']:.2f} of its deviation, the control by "
            f"{control['edit']:.2f}."
        )
