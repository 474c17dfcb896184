"""A label erased at a layer by LEACE (Belrose et al. 2023), and a control that moves as far.

LEACE is the affine map, nearest to leaving vectors as they are, after which no linear classifier
finds the label in the vectors that it was fitted to. It is fitted in two places: at the token that
the head reads, and there alone it edits; and to the means over tokens, for which it edits all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from concept_erasure import LeaceEraser, LeaceFitter

from layerscope.analysis.interventions.passes import Intervention
from layerscope.config.extraction import Activations
from layerscope.core.errors import UserError
from layerscope.core.kinds import labels_examples
from layerscope.data.labels import TaskLabels
from layerscope.data.rng import seeded
from layerscope.models.batching import collate
from layerscope.models.forward import forward
from layerscope.models.hooks import states_captured
from layerscope.models.inputs import Encoded, encode_examples, encode_sentences, labelled_position
from layerscope.models.load import position_limit
from layerscope.models.loaded import LoadedModel
from layerscope.models.parts import blocks
from layerscope.models.pooling import sequence_means, word_means
from layerscope.models.reading import read_mask, tokens_read
from layerscope.statistics.metrics import encode

#: What is less of a label's covariance with whitened vectors counts as none. The library's default
#: of 0.01 would leave rare labels in; float64 has room for this.
TOLERANCE = 1e-6

#: Where erasers are fitted: at the token that the head reads, and to means over tokens.
READ, MEAN = "read", "mean"

Codes = npt.NDArray[np.int64]
States = Sequence[torch.Tensor]


class Inputs(NamedTuple):
    """Sequences as a model is fine-tuned on them, with their labels."""

    sequences: list[Encoded]
    codes: list[Codes]  # of each sequence that of its label, or of each word's (ner)
    tokens: str  # which a head reads: first, last or all (of words, the labelled sub-word)


def read_inputs(
    loaded: LoadedModel, table: pa.Table, task: TaskLabels, settings: Activations
) -> Inputs:
    """Inputs, labels, and the tokens that the model's head reads.

    Args:
        loaded: with its head.
        table: prepared rows.
        task: its labels.
        settings: limits of passes.

    Raises:
        UserError: a label that the task does not have, or no rows.
    """
    if not len(table):
        raise UserError("reference rows: none; allowed: one or more that no variant learned from")
    limit = position_limit(loaded.model, settings.max_length)
    sequences, codes = labelled_inputs(loaded, table, task, limit)
    if not labels_examples(task.kind):
        return Inputs(sequences, codes, "all")
    device = next(loaded.model.parameters()).device
    batch = collate(sequences[:1], loaded.special_tokens, device)
    return Inputs(sequences, codes, tokens_read(loaded.model, batch))


def labelled_inputs(
    loaded: LoadedModel, table: pa.Table, task: TaskLabels, limit: int
) -> tuple[list[Encoded], list[Codes]]:
    """Sequences of at most `limit` sub-words, and the codes of their labels.

    Raises:
        UserError: a label that the task does not have.
    """
    rows = task.as_learned(table).to_pydict()
    reader = (loaded.tokenizer, loaded.special_tokens)
    if labels_examples(task.kind):
        sequences, _ = encode_examples(*reader, rows, task.kind, limit)
        return sequences, list(encode(rows["label"], task.learned)[:, None])
    sentences, _ = encode_sentences(*reader, rows["tokens"], limit)
    windows = [window for each in sentences for window in each]
    codes = encode([tag for tags in rows["tags"] for tag in tags], task.learned)
    return windows, np.split(codes, np.cumsum([len(w.words) for w in windows])[:-1])


def permuted(codes: Sequence[Codes], name: str, seed: int) -> list[Codes]:
    """The same labels in another order over all sequences: the control.

    Args:
        codes: of each sequence.
        name: of the model and its variant; each has its own order.
        seed: of the orders.
    """
    flat = np.concatenate(codes)
    order = list(range(len(flat)))
    seeded(f"labels of the control of {name}", seed).shuffle(order)
    return np.split(flat[order], np.cumsum([len(each) for each in codes])[:-1])


# --- vectors -----------------------------------------------------------------------------------


def vectors_read(
    states: States, mask: torch.Tensor, sequences: Sequence[Encoded], tokens: str, architecture: str
) -> torch.Tensor:
    """What the head would read of each layer: rows x layers x width, float32.

    Args:
        states: of each layer, batch x tokens x width.
        mask: batch x tokens; 1 for a real token.
        sequences: of the batch; words if each of theirs is a row.
        tokens: which a head reads of a sequence without words.
        architecture: decides at which sub-word words are labelled.
    """
    if sequences[0].words:
        at = [[labelled_position(span, architecture) for span in each.words] for each in sequences]
        return word_means(states, [[(place, place + 1) for place in each] for each in at])
    return sequence_means(states, read_mask(mask, tokens))


def pooled_states(
    loaded: LoadedModel, inputs: Inputs, settings: Activations
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Vectors of each block's output, as it is where it can be edited.

    Yields:
        Indices of a batch, and its vectors at the token read and at the mean over a sequence
        or over the sub-words of each word (ner): each rows x layers x width, float32; the first
        layer is the first block's.
    """
    with states_captured(loaded.model) as states:

        def pooled(
            indices: list[int], batch: Mapping[str, torch.Tensor], _: Any
        ) -> dict[str, torch.Tensor]:
            own, mask = [inputs.sequences[index] for index in indices], batch["attention_mask"]
            words = [each.words for each in own]
            means = word_means(states, words) if words[0] else sequence_means(states, mask)
            read = vectors_read(states, mask, own, inputs.tokens, loaded.architecture)
            return {READ: read, MEAN: means}

        given = (loaded.model, inputs.sequences, loaded.special_tokens)
        yield from forward(*given, settings.batch_tokens, settings.precision, pooled)


# --- erasers -----------------------------------------------------------------------------------


def erased_layers(
    loaded: LoadedModel, inputs: Inputs, task: TaskLabels, name: str, seed: int, passes: Activations
) -> list[Intervention]:
    """The label erased at each layer, fitted in each place, and its control.

    The control erases as many directions, of permuted labels, by a multiple: the one that moves the
    edited tokens of these inputs as far, in the mean of squares. Above 1 it overshoots.

    Args:
        loaded: fine-tuned, in evaluation mode.
        inputs: that erasers are fitted to; no variant learned from them.
        task: its labels; those that the model learns are erased.
        name: of the model and its variant; each has its own control.
        seed: of the permutation.
        passes: limits and precision of forward passes.

    Raises:
        UserError: the model's blocks are not found, or a single label.
    """
    both = [inputs.codes, permuted(inputs.codes, name, seed)]
    fitted = fit_erasers(loaded, inputs, both, task, passes)
    found = [
        Intervention(
            intervention,
            fitted=place,
            layer=layer,
            eraser=eraser,
            tokens=inputs.tokens if place == READ else "all",
        )
        for intervention, places in zip(("erased", "erased-control"), fitted, strict=True)
        for place, erasers in places.items()
        for layer, eraser in enumerate(erasers, start=1)
    ]
    moved, _ = np.split(edits(loaded, inputs.sequences, found, passes), 2, axis=1)
    own, control = np.split(moved[:, 0], 2)
    times = np.sqrt(np.divide(own, control, out=np.ones_like(own), where=control > 0))
    half = len(found) // 2
    return found[:half] + [
        each._replace(eraser=scaled(each.eraser, float(factor)))
        for each, factor in zip(found[half:], times, strict=True)
        if each.eraser is not None
    ]


def scaled(eraser: LeaceEraser, factor: float) -> LeaceEraser:
    """An eraser whose edits are so many times as long."""
    return replace(eraser, proj_left=eraser.proj_left * factor)


def fit_erasers(
    loaded: LoadedModel,
    inputs: Inputs,
    codes: Sequence[Sequence[Codes]],
    task: TaskLabels,
    settings: Activations,
) -> list[dict[str, list[LeaceEraser]]]:
    """Erasers of labels from the output of each block, in one pass over the inputs.

    Statistics are gathered in float64, a batch at a time; no vectors are kept. They are where a
    block's weights are, since those of a wide model are larger than its weights.

    Args:
        loaded: a model in evaluation mode.
        inputs: what it reads.
        codes: labellings of the inputs, each with the labels of each sequence.
        task: whose labels the codes number.
        settings: of the pass.

    Returns:
        For each labelling, and place in which it is fitted, an eraser a block.

    Raises:
        UserError: a single label, of which there is no covariance.
    """
    if sum(map(len, codes[0])) < 2:
        raise UserError("rows that erasers learn from: 1 label; allowed: 2 or more, to erase them")
    device = next(loaded.model.parameters()).device
    width, classes = loaded.model.config.hidden_size, len(task.learned)
    devices = [next(block.parameters()).device for block in blocks(loaded.model)]
    fitters = [
        {
            place: [
                LeaceFitter(width, classes, device=own, dtype=torch.float64, svd_tol=TOLERANCE)
                for own in devices
            ]
            for place in (READ, MEAN)
        }
        for _ in codes
    ]
    for indices, vectors in pooled_states(loaded, inputs, settings):
        for labelling, own in zip(codes, fitters, strict=True):
            labels = np.concatenate([labelling[index] for index in indices])
            one_hot = torch.eye(classes, dtype=torch.float64)[torch.from_numpy(labels)].to(device)
            for place, layers in own.items():
                for layer, fitter in enumerate(layers):
                    at = devices[layer]
                    fitter.update(vectors[place][:, layer].to(at), one_hot.to(at))
    return [
        {place: [moved_to(device, each.eraser) for each in layers] for place, layers in own.items()}
        for own in fitters
    ]


def moved_to(device: torch.device, eraser: LeaceEraser) -> LeaceEraser:
    """The same eraser on a device."""
    parts = {name: each if each is None else each.to(device) for name, each in vars(eraser).items()}
    return replace(eraser, **parts)


def squares(intervention: Intervention, states: States, mask: torch.Tensor) -> torch.Tensor:
    """Sums of squares over edited tokens: of their moves, and of their distances from the mean.

    Args:
        intervention: with an eraser, whose mean it is.
        states: of each layer, batch x tokens x width.
        mask: batch x tokens; 1 for a real token.
    """
    eraser = intervention.eraser
    if eraser is None or eraser.bias is None:
        raise ValueError(f"{intervention.name} erases nothing")
    state = states[(intervention.layer or 0) - 1]
    away = state[read_mask(mask, intervention.tokens)].double() - eraser.bias
    moved = (away @ eraser.proj_right.mH) @ eraser.proj_left.mH
    return torch.stack([moved.square().sum(), away.square().sum()])


def edits(
    loaded: LoadedModel,
    sequences: Sequence[Encoded],
    interventions: Sequence[Intervention],
    settings: Activations,
) -> npt.NDArray[np.float64]:
    """Sums of squares of each intervention over all sequences (`squares`): interventions x 2."""
    total = np.zeros((len(interventions), 2))
    with states_captured(loaded.model) as states:

        def summed(_: Any, batch: Mapping[str, torch.Tensor], __: Any) -> npt.NDArray[np.float64]:
            mask = batch["attention_mask"]
            sums = [squares(each, states, mask) for each in interventions]
            return torch.stack(sums).cpu().numpy()

        given = (loaded.model, sequences, loaded.special_tokens)
        for _, found in forward(*given, settings.batch_tokens, settings.precision, summed):
            total += found
    return total
