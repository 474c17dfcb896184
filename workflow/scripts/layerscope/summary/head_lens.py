"""Findings on where a fine-tuned model's answer can be read: its head put on each layer."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from layerscope.core.measures import last_layer
from layerscope.summary.intervals import LEAST_SEEDS, listed

#: Share of the way from the control's agreement to the model itself that counts as its answer.
REACHED = 0.9


def head_lens_findings(rows: pd.DataFrame) -> list[str]:
    """From which layer on the tuned lens gives the model's answers, with the range over seeds.

    The control agrees wherever the model gives its commonest answer, which of words is nearly
    everywhere. So agreement counts from the control's of the same layer and seed (0) to 1.

    Args:
        rows: one task's rows of the table of the head lens.
    """
    if rows["seed"].nunique() < LEAST_SEEDS:
        return [f"Nothing is said of layers with fewer than {LEAST_SEEDS} seeds: see the figures."]
    agreement = rows[(rows["metric"] == "agreement") & rows["layer"].notna()]
    if agreement.empty:
        return []
    return [
        *_reached(agreement),
        "The last layer agrees by construction, and that an answer can be read from a layer does "
        "not mean that the model has decided there.",
    ]


def _reached(rows: pd.DataFrame) -> Iterator[str]:
    """Of each model a sentence, and one for those that the control agrees with."""
    alike = []
    for model, own in rows.groupby("model", sort=False):
        last, found = last_layer(own), first_layers(own)
        if found.isna().any():
            alike.append(str(model))
            continue
        yield (
            f"In {model}, the tuned lens gives at least {100 * REACHED:g} % of the model's answers "
            f"beyond the control's from layer {found.mean():.1f} of {last} on (mean over "
            f"{len(found)} seeds, which range from {found.min():g} to {found.max():g}; depth "
            f"{found.mean() / last:.2f})."
        )
    if alike:
        yield (
            "Nothing is said of layers where a model gives nearly always the same answer, which "
            f"the control gives too: {listed(alike)}."
        )


def first_layers(rows: pd.DataFrame) -> pd.Series:
    """By seed, the first layer from which on the tuned lens reaches the model's answers.

    Args:
        rows: of one model: agreement by lens and layer.

    Returns:
        NaN where the control agrees in all but 1 % of answers or more, in any layer: then little
        is left to agree in.
    """
    by_lens = rows.pivot(index=["seed", "layer"], columns="lens", values="value")
    left = (1 - by_lens["shuffled"]).unstack("layer")
    short = (1 - by_lens["tuned"]).unstack("layer") > (1 - REACHED) * left
    # Layers are numbered from 0: after the last one that falls short comes the first that does not.
    found = short.apply(lambda seed: max(seed.index[seed], default=-1) + 1, axis=1)
    return found.where((left > 0.01).all(axis=1))
