"""Causal checks on a fine-tuned model: its heads masked, its label erased at a layer.

Both change what a model computes and look at its score on the test data. Heads are masked in the
order of how much fine-tuning changed their attention (after Michel et al. 2019 and Voita et al.
2019, who rank them by other measures). A label is erased by LEACE (Belrose et al. 2023): the
affine map, nearest to leaving vectors as they are, after which no linear classifier finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from concept_erasure import LeaceEraser, LeaceFitter
from torch import nn
from transformers import PreTrainedModel

from layerscope.config.extraction import Activations
from layerscope.config.interventions import Interventions
from layerscope.core.errors import UserError
from layerscope.data.labels import TaskLabels
from layerscope.data.rng import seeded
from layerscope.models.forward import forward
from layerscope.models.hooks import Head, blocks, heads_masked, resumed, states_captured
from layerscope.models.inputs import Encoded, encode_pairs, encode_sentences
from layerscope.models.load import position_limit
from layerscope.models.loaded import LoadedModel
from layerscope.models.pooling import sequence_means, word_means
from layerscope.statistics.metrics import encode

#: What is less of a label's covariance with whitened vectors counts as none. The library's default
#: of 0.01 would leave rare labels in; float64 has room for this.
TOLERANCE = 1e-6

Row = dict[str, Any]
Codes = npt.NDArray[np.int64]


class Intervention(NamedTuple):
    """One change of a model: heads that are masked, or a layer where a label is erased."""

    name: str  # heads-most, heads-least, heads-random, erased or erased-control
    layer: int | None = None  # whose output is edited, counted from 1
    share: int | None = None  # of all heads, in percent
    draw: int | None = None  # of random heads
    heads: Sequence[Head] = ()
    eraser: LeaceEraser | None = None


# --- heads -------------------------------------------------------------------------------------


def ranked_heads(attention: pa.Table, known: Sequence[Head]) -> list[Head]:
    """Heads of a model, those first whose attention fine-tuning changed most.

    Args:
        attention: a file of kind `attention` of the fine-tuned model. What ranks is the mean over
            examples of `jsd`, the divergence of a head's maps before and after.
        known: all heads of the model; in their order where they changed as much.

    Raises:
        UserError: the file is of other heads.
    """
    changes = attention.filter(pc.equal(attention["measure"], "jsd"))
    # Threads would add in any order, and heads that changed as much change places.
    means = changes.group_by(["layer", "head"], use_threads=False).aggregate([("value", "mean")])
    change = {(row["layer"], row["head"]): row["value_mean"] for row in means.to_pylist()}
    if set(change) != set(known):
        raise UserError(
            f"attention: changes of {len(change)} heads; allowed: of all {len(known)} of the model"
        )
    return sorted(known, key=lambda head: -change[head])


def masked_heads(ranked: Sequence[Head], settings: Interventions, name: str) -> list[Intervention]:
    """Which heads are masked together: of each share the most and least changed, and random ones.

    A smaller share's heads are among a larger one's.

    Args:
        ranked: all heads, the most changed first.
        settings: shares, and number and seed of the draws.
        name: of the model and its variant; each has its own random heads.
    """
    orders: list[tuple[str, int | None, list[Head]]] = [
        ("heads-most", None, list(ranked)),
        ("heads-least", None, list(ranked[::-1])),
    ]
    for draw in range(settings.random_draws):
        order = sorted(ranked)
        seeded(f"heads of {name}, draw {draw}", settings.seed).shuffle(order)
        orders.append(("heads-random", draw, order))
    return [
        Intervention(
            intervention,
            share=share,
            draw=draw,
            heads=order[: max(1, (share * len(order) + 50) // 100)],
        )
        for share in sorted(settings.head_shares)
        for intervention, draw, order in orders
    ]


# --- erasure -----------------------------------------------------------------------------------


def labelled_inputs(
    loaded: LoadedModel, table: pa.Table, task: TaskLabels, limit: int
) -> tuple[list[Encoded], list[Codes]]:
    """Inputs as the model is fine-tuned on them, with labels.

    Args:
        loaded: the model.
        table: prepared rows.
        task: its labels.
        limit: sub-words of an input.

    Returns:
        Sequences, and of each the code of its label (nli) or of the label of each word (ner).

    Raises:
        UserError: a label that the task does not have.
    """
    rows = task.as_learned(table).to_pydict()
    reader = (loaded.tokenizer, loaded.special_tokens)
    if task.kind == "nli":
        pairs, _ = encode_pairs(*reader, rows["premise"], rows["hypothesis"], limit)
        return pairs, list(encode(rows["label"], task.learned)[:, None])
    sentences, _ = encode_sentences(*reader, rows["tokens"], limit)
    windows = [window for each in sentences for window in each]
    codes = encode([tag for tags in rows["tags"] for tag in tags], task.learned)
    return windows, np.split(codes, np.cumsum([len(w.words) for w in windows])[:-1])


def permuted(codes: Sequence[Codes], seed: int) -> list[Codes]:
    """The same labels in another order over all sequences: the control."""
    flat = np.concatenate(codes)
    order = list(range(len(flat)))
    seeded("labels of the control", seed).shuffle(order)
    return np.split(flat[order], np.cumsum([len(each) for each in codes])[:-1])


def pooled_states(
    loaded: LoadedModel, sequences: Sequence[Encoded], kind: str, settings: Activations
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """What probes would read of each block's output, as it is where it can be edited.

    Yields:
        Indices of a batch, and its vectors: means over sequences (nli) or over the sub-words of
        each word (ner), rows x layers x width, float32; the first layer is the first block's.
    """
    with states_captured(loaded.model) as states:

        def pooled(indices: list[int], batch: Mapping[str, torch.Tensor], _: Any) -> torch.Tensor:
            if kind == "nli":
                return sequence_means(states, batch["attention_mask"])
            return word_means(states, [sequences[index].words for index in indices])

        given = (loaded.model, sequences, loaded.special_tokens)
        yield from forward(*given, settings.batch_tokens, settings.precision, pooled)


def erased_layers(
    loaded: LoadedModel, sample: pa.Table, task: TaskLabels, seed: int, settings: Activations
) -> list[Intervention]:
    """The label erased at each layer, and the control: as much erased, of permuted labels.

    Args:
        loaded: fine-tuned, in evaluation mode.
        sample: prepared rows of training data that erasers are fitted to.
        task: its labels; those that the model learns are erased.
        seed: of the permutation.
        settings: limits and precision of forward passes.

    Raises:
        UserError: the model's blocks are not found, a label that the task does not have, or a
            single one.
    """
    limit = position_limit(loaded.model, settings.max_length)
    sequences, codes = labelled_inputs(loaded, sample, task, limit)
    both = [codes, permuted(codes, seed)]
    fitted = fit_erasers(loaded, sequences, both, task, settings)
    return [
        Intervention(name, layer=layer, eraser=eraser)
        for name, erasers in zip(("erased", "erased-control"), fitted, strict=True)
        for layer, eraser in enumerate(erasers, start=1)
    ]


def fit_erasers(
    loaded: LoadedModel,
    sequences: Sequence[Encoded],
    codes: Sequence[Sequence[Codes]],
    task: TaskLabels,
    settings: Activations,
) -> list[list[LeaceEraser]]:
    """Erasers of labels from the output of each block, in one pass over the inputs.

    Statistics are gathered in float64, a batch at a time; no vectors are kept.

    Args:
        loaded: a model in evaluation mode.
        sequences: inputs.
        codes: labellings of the inputs, each with the labels of each sequence.
        task: whose labels the codes number.
        settings: of the pass.

    Returns:
        For each labelling an eraser a block.

    Raises:
        UserError: a single label, of which there is no covariance.
    """
    if sum(map(len, codes[0])) < 2:
        raise UserError("sample for probes: 1 label; allowed: 2 or more, to erase them")
    device = next(loaded.model.parameters()).device
    width, classes = loaded.model.config.hidden_size, len(task.learned)
    fitters = [
        [
            LeaceFitter(width, classes, device=device, dtype=torch.float64, svd_tol=TOLERANCE)
            for _ in blocks(loaded.model)
        ]
        for _ in codes
    ]
    for indices, vectors in pooled_states(loaded, sequences, task.kind, settings):
        for labelling, own in zip(codes, fitters, strict=True):
            labels = np.concatenate([labelling[index] for index in indices])
            one_hot = torch.eye(classes, dtype=torch.float64)[torch.from_numpy(labels)].to(device)
            for layer, fitter in enumerate(own):
                fitter.update(vectors[:, layer], one_hot)
    return [[fitter.eraser for fitter in own] for own in fitters]


def erase(eraser: LeaceEraser, states: torch.Tensor) -> torch.Tensor:
    """States without the label, computed in the eraser's float64 and given as they came.

    Args:
        eraser: of a layer.
        states: ... x width. Padding may be in it, since nothing reads what becomes of it.
    """
    return eraser(states.double()).to(states.dtype)


# --- passes ------------------------------------------------------------------------------------


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
        with states_captured(self.model) as states:
            logits = [self.model(**batch).logits]
        for intervention in self.interventions:
            with ExitStack() as stack:
                if intervention.eraser is not None:
                    last = intervention.layer or 0
                    state = erase(intervention.eraser, states[last - 1])
                else:
                    last = min(layer for layer, _ in intervention.heads) - 1
                    state = states[last - 1]
                    stack.enter_context(heads_masked(self.model, intervention.heads))
                stack.enter_context(resumed(self.model, last, state))
                logits.append(self.model(**batch).logits)
        return logits


def rows_of(
    interventions: Sequence[Intervention], scores: Sequence[Mapping[str, float]]
) -> Iterator[Row]:
    """Rows of kind "intervention", a row a metric.

    Args:
        interventions: of an `Intervened`.
        scores: value by metric of each of its answers: the model as it is, then the interventions.
    """
    plain = scores[0]
    for intervention, found in zip([Intervention("none"), *interventions], scores, strict=True):
        for metric, value in found.items():
            yield {
                "intervention": intervention.name,
                "layer": intervention.layer,
                "share": intervention.share,
                "draw": intervention.draw,
                "metric": metric,
                "value": value,
                "change": value - plain[metric],
            }
