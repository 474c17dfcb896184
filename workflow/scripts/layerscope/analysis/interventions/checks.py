"""Whether an erasure holds on other rows: how far it moves tokens, what a fresh probe still finds.

The probe learns from half of some test rows and is tested on the other half, and the other way
round. On the rows that an eraser was fitted to there is nothing to learn by construction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from layerscope.analysis.interventions.erasure import (
    Inputs,
    read_inputs,
    squares,
    vectors_read,
)
from layerscope.analysis.interventions.passes import Checked, Intervention
from layerscope.analysis.probing.features import standardise
from layerscope.analysis.probing.linear import predict_linear
from layerscope.config.extraction import Activations
from layerscope.core.kinds import labels_examples
from layerscope.data.iob import unmerge
from layerscope.data.labels import TaskLabels
from layerscope.data.rng import seeded
from layerscope.models.forward import forward
from layerscope.models.hooks import states_captured
from layerscope.models.loaded import LoadedModel

#: Pairs or words at most that erasures are checked on, so that memory and time stay as data grow.
MOST_ROWS = 2000

Vectors = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]
#: From true and predicted labels, and the example of each, to a value by metric.
Score = Callable[[Sequence[str], Sequence[str], Sequence[str]], dict[str, float]]

log = logging.getLogger(__name__)


class Sample(NamedTuple):
    """Test rows that erasures are checked on, in their order: one row per example or word."""

    table: pa.Table
    inputs: Inputs
    examples: list[str]  # of each row
    truth: list[str]
    half: npt.NDArray[np.bool_]  # of the rows, by groups


def sample_of(
    loaded: LoadedModel, table: pa.Table, task: TaskLabels, seed: int, settings: Activations
) -> Sample:
    """Whole groups of a table in a random order, as many as there is room for, in two halves."""
    words = not labels_examples(task.kind)
    groups = table["group_id"].to_pylist()
    counts = [len(tokens) for tokens in table["tokens"].to_pylist()] if words else [1] * len(table)
    order = sorted(set(groups))
    seeded("groups that erasures are checked on", seed).shuffle(order)
    size = dict.fromkeys(order, 0)
    for group, count in zip(groups, counts, strict=True):
        size[group] += count
    sizes = np.asarray([size[group] for group in order])
    kept = max(2, int(np.searchsorted(np.cumsum(sizes), MOST_ROWS, side="right")))
    first = np.cumsum(sizes[:kept]) <= sizes[:kept].sum() / 2
    first[:1] = True
    side = dict(zip(order, first.tolist(), strict=False))
    places = [place for place, group in enumerate(groups) if group in side]
    chosen = table.take(places)
    repeats = [counts[place] for place in places]
    labels = (
        [tag for tags in chosen["tags"].to_pylist() for tag in tags]
        if words
        else chosen["label"].to_pylist()
    )
    return Sample(
        chosen,
        read_inputs(loaded, chosen, task, settings),
        np.repeat(np.asarray(chosen["example_id"].to_pylist(), object), repeats).tolist(),
        labels,
        np.repeat([side[groups[place]] for place in places], repeats),
    )


def check(
    loaded: LoadedModel,
    sample: Sample,
    interventions: Sequence[Intervention],
    task: TaskLabels,
    score: Score,
    settings: Activations,
) -> list[Checked | None]:
    """What each intervention that erases does to the test rows; None of masked heads."""
    erasing = [each for each in interventions if each.eraser is not None]
    vectors, sums = _read(loaded, sample.inputs, erasing, settings)
    codes = np.concatenate(sample.inputs.codes)
    if sample.half.all():
        log.warning("test data: 1 group, so that no probe is fitted to one and tested on another")

    def probed(rows: Vectors) -> Mapping[str, float]:
        if sample.half.all():
            return {}
        found = cross_predicted(rows, codes, sample.half)
        answers = [task.learned[code] for code in found]
        answers = unmerge(answers, sample.examples) if task.merged else answers
        return score(sample.truth, answers, sample.examples)

    chance = probed(np.zeros((len(codes), 1), np.float32))
    before = [probed(vectors[:, layer]) for layer in range(vectors.shape[1])]
    found: list[Checked | None] = []
    done = iter(zip(erasing, sums, strict=True))
    for each in interventions:
        if each.eraser is None:
            found.append(None)
            continue
        _, (moved, away) = next(done)
        at = (each.layer or 0) - 1
        here = torch.from_numpy(vectors[:, at]).to(each.eraser.proj_left)
        left = each.eraser(here).float().cpu().numpy()
        edit = float(np.sqrt(moved / away)) if away > 0 else 0.0
        found.append(Checked(edit, before[at], probed(left), chance))
    return found


def _read(
    loaded: LoadedModel, inputs: Inputs, erasing: Sequence[Intervention], settings: Activations
) -> tuple[Vectors, npt.NDArray[np.float64]]:
    """Vectors at the token read (rows x layers x width), and sums of squares, in one pass."""
    found: dict[int, Vectors] = {}
    total = np.zeros((len(erasing), 2))
    with states_captured(loaded.model) as states:

        def read(indices: list[int], batch: Mapping[str, torch.Tensor], _: Any) -> Any:
            own, mask = [inputs.sequences[index] for index in indices], batch["attention_mask"]
            sums = torch.stack([squares(each, states, mask) for each in erasing])
            vectors = vectors_read(states, mask, own, inputs.tokens, loaded.architecture)
            return vectors.cpu().numpy(), sums.cpu().numpy()

        given = (loaded.model, inputs.sequences, loaded.special_tokens)
        for indices, (vectors, sums) in forward(
            *given, settings.batch_tokens, settings.precision, read
        ):
            counts = [len(inputs.codes[index]) for index in indices]
            parts = np.split(vectors, np.cumsum(counts)[:-1])
            found.update(zip(indices, parts, strict=True))
            total += sums
    return np.concatenate([found[index] for index in range(len(inputs.sequences))]), total


def cross_predicted(vectors: Vectors, codes: Codes, half: npt.NDArray[np.bool_]) -> Codes:
    """The answer to each row of a probe that was fitted to the other half.

    Args:
        vectors: rows x width.
        codes: class of each row.
        half: whether a row is in the one half.
    """
    found = np.empty_like(codes)
    for own in (half, ~half):
        known, asked = standardise(vectors[~own], vectors[own])
        (found[own],) = predict_linear(known, [codes[~own]], asked, 1.0, 200)
    return found
