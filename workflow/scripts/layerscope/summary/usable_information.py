"""Findings on how many bits about the label predictors can use of the last layer."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from layerscope.core.encodings import of_main_views
from layerscope.core.variants import PRETRAINED
from layerscope.summary.intervals import LEAST_SEEDS, Interval, listed, supported

FAMILIES = {"linear": "linear predictors", "mlp": "perceptrons"}


def information_findings(rows: pd.DataFrame) -> list[str]:
    """What predictors can use of the last layer before fine-tuning, and what fine-tuning adds.

    Claims are of the last layer, which is chosen by nothing, and where an interval over test
    examples, seeds and training rows of the predictors excludes 0.

    Args:
        rows: one task's rows of the table of usable information.
    """
    most = rows["percent"].max()
    tuned = rows[rows["percent"] == most]
    if not most > 0 or tuned["seed"].nunique() < LEAST_SEEDS:
        few = f"Nothing is said of usable information with fewer than {LEAST_SEEDS} seeds"
        return [f"{few}: see the figures."]
    last = of_main_views(rows[rows["depth"] == 1])
    before = last[last["variant"] == PRETRAINED]
    after = last[(last["percent"] == most) & last["seed"].isna()]
    found = [*_before(before), *_gained(after, int(most))]
    if found:
        found.append(
            f"A label takes {last['label_entropy'].iloc[0]:.3f} bits without vectors. That "
            "predictors can use information does not mean that the model does."
        )
    return found


def _before(rows: pd.DataFrame) -> Iterator[str]:
    """Of the pre-trained models: which last layers predictors can use."""
    for who, intervals in _by_family(rows, "value", "low", "high"):
        told = [f"{model} {each} bits" for model, each in intervals if each.low > 0]
        silent = [model for model, each in intervals if not each.low > 0]
        if told:
            yield (
                f"Before fine-tuning, {who} can use information about the label in the last layer: "
                f"{listed(told)}."
            )
        if silent:
            yield (
                f"Before fine-tuning, {who} are not shown to use any information about the label "
                f"in the last layer: {listed(silent)}."
            )


def _gained(rows: pd.DataFrame, most: int) -> Iterator[str]:
    """Of models fine-tuned on so many percent: where more or fewer bits can be used than before."""
    for who, intervals in _by_family(rows, "gain", "gain_low", "gain_high"):
        told = [f"{model} by {each} bits" for model, each in intervals if supported(each)]
        silent = [model for model, each in intervals if not supported(each)]
        if told:
            yield (
                f"Fine-tuning on {most} % of the data significantly changes how many bits about a "
                f"label {who} can use of the last layer: {listed(told)}."
            )
        if silent:
            yield (
                f"Fine-tuning does not significantly change how many bits about a label {who} can "
                f"use of the last layer: {listed(silent)}."
            )


def _by_family(
    rows: pd.DataFrame, *columns: str
) -> Iterator[tuple[str, list[tuple[str, Interval]]]]:
    """Each family and view in words, with the interval of each model."""
    for (family, view), own in rows.groupby(["family", "view"], sort=False):
        who = FAMILIES[str(family)] + (f" ({view})" if view != "word" else "")
        values = own[[*columns]].itertuples(index=False, name=None)
        yield who, [(str(m), Interval(*each)) for m, each in zip(own["model"], values, strict=True)]
