"""A model's answers as it is and under interventions, and the rows that say what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from concept_erasure import LeaceEraser
from torch import nn
from transformers import PreTrainedModel

from layerscope.models.hooks import Head, heads_masked, resumed, states_captured
from layerscope.models.reading import read_mask

Row = dict[str, Any]


class Intervention(NamedTuple):
    """One change of a model: heads that are masked, or a layer where a label is erased."""

    name: str  # none, heads-most, heads-least, heads-random, erased or erased-control
    ablation: str | None = None  # what stands in for masked heads: zero or mean
    share: int | None = None  # of each layer's heads, in percent
    draw: int | None = None  # of random heads
    heads: Sequence[Head] = ()
    values: Sequence[torch.Tensor] | None = None  # the means, layer by layer
    fitted: str | None = None  # where the eraser learned: at the token read, or at the mean
    layer: int | None = None  # whose output is edited, counted from 1
    eraser: LeaceEraser | None = None
    tokens: str = "all"  # which are edited: first, last or all


class Checked(NamedTuple):
    """How far an erasure moves the tokens that it edits, and what a fresh probe finds after it."""

    edit: float  # root of the mean squared move, over that of the deviation
    before: Mapping[str, float]  # of a probe of the token read, by metric, and empty if unknown
    after: Mapping[str, float]
    chance: Mapping[str, float]  # of answering the commonest label


def erase(eraser: LeaceEraser, states: torch.Tensor, edited: torch.Tensor) -> torch.Tensor:
    """States without the label, computed in the eraser's float64 and given as they came.

    Args:
        eraser: of a layer.
        states: batch x tokens x width.
        edited: batch x tokens, bool; the others stay.
    """
    return torch.where(edited[..., None], eraser(states.double()).to(states.dtype), states)


class Intervened(nn.Module):
    """A fine-tuned model that answers a batch as it is and under each intervention.

    What comes before the first layer that an intervention changes is computed once for all.
    """

    def __init__(self, model: PreTrainedModel, interventions: Sequence[Intervention]) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.interventions = interventions

    def forward(self, **batch: torch.Tensor) -> list[torch.Tensor]:
        """Logits of the model as it is, then those under each intervention."""
        if not self.interventions:
            return [self.model(**batch).logits]
        with states_captured(self.model) as states:
            logits = [self.model(**batch).logits]
        for intervention in self.interventions:
            with ExitStack() as stack:
                if intervention.eraser is not None:
                    last = intervention.layer or 0
                    edited = read_mask(batch["attention_mask"], intervention.tokens)
                    state = erase(intervention.eraser, states[last - 1], edited)
                else:
                    last = min(layer for layer, _ in intervention.heads) - 1
                    state = states[last - 1]
                    masked = heads_masked(self.model, intervention.heads, intervention.values)
                    stack.enter_context(masked)
                beside = states.beside[last - 1]
                stack.enter_context(resumed(self.model, last, state, beside))
                logits.append(self.model(**batch).logits)
        return logits


def rows_of(
    interventions: Sequence[Intervention],
    scores: Sequence[Mapping[str, float]],
    checked: Sequence[Checked | None],
) -> Iterator[Row]:
    """Rows of kind "intervention", a row a metric.

    Args:
        interventions: of an `Intervened`.
        scores: value by metric of each of its answers: the model as it is, then the interventions.
        checked: of each intervention; None of masked heads.
    """
    plain = scores[0]
    every = zip([Intervention("none"), *interventions], scores, [None, *checked], strict=True)
    for intervention, found, check in every:
        for metric, value in found.items():
            yield {
                "intervention": intervention.name,
                "ablation": intervention.ablation,
                "fitted": intervention.fitted,
                "layer": intervention.layer,
                "share": intervention.share,
                "draw": intervention.draw,
                "metric": metric,
                "value": value,
                "change": value - plain[metric],
                "edit": check.edit if check else None,
                "probe": check.after.get(metric) if check else None,
                "probe_before": check.before.get(metric) if check else None,
                "probe_chance": check.chance.get(metric) if check else None,
            }
