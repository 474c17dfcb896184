"""Predictions of a fine-tuned model: one row per example, or per word (NER)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import nn

from layerscope.config.extraction import Activations
from layerscope.core.kinds import labels_examples, units
from layerscope.data.iob import entity_labels, merged_labels
from layerscope.data.labels import TaskLabels
from layerscope.models.forward import forward
from layerscope.models.inputs import Encoded, encode_examples, encode_sentences, labelled_position
from layerscope.models.load import position_limit
from layerscope.models.loaded import LoadedModel

Probabilities = npt.NDArray[np.float32]

log = logging.getLogger(__name__)


def unmerge_probabilities(
    probabilities: Probabilities, sentences: npt.NDArray[Any], labels: Sequence[str]
) -> Probabilities:
    """Probabilities of IOB2 tags from those of merged ones.

    A word's probability of a type goes to the one tag that it would have there: `I-x` after a word
    that was predicted to be of type x, else `B-x`. So the likeliest tag of each word is the one
    that `iob.unmerge` gives, and rows still sum to 1.

    Args:
        probabilities: words x merged tags.
        sentences: the sentence of each word; words of a sentence are consecutive.
        labels: IOB2 tags.

    Returns:
        Words x IOB2 tags.
    """
    merged = merged_labels(labels)
    chosen = probabilities.argmax(axis=1)
    inside = np.zeros(probabilities.shape, dtype=bool)
    follows = np.flatnonzero(sentences[1:] == sentences[:-1]) + 1
    inside[follows, chosen[follows - 1]] = True
    spread = np.zeros((len(probabilities), len(labels)), dtype=np.float32)
    for column, kind in enumerate(merged):
        if kind == "O":
            spread[:, labels.index(kind)] = probabilities[:, column]
            continue
        _, begin, continued = (labels.index(tag) for tag in entity_labels([kind]))
        spread[:, begin] = np.where(inside[:, column], 0, probabilities[:, column])
        spread[:, continued] = np.where(inside[:, column], probabilities[:, column], 0)
    return spread


def predict(
    loaded: LoadedModel, table: pa.Table, task: TaskLabels, settings: Activations
) -> dict[str, Any]:
    """Predict the label of every example or word of a prepared table.

    Texts, pairs and words that had to be cut are counted in the log.

    Args:
        loaded: a model with its head, in evaluation mode.
        table: prepared rows.
        task: its labels; the head's outputs are those that are learned, predictions are named as
            in the table in any case.
        settings: limits and precision of the forward pass.

    Returns:
        Columns of the format "predictions", in the order of the table.
    """
    (columns,) = _predict(loaded.model, lambda out: [out.logits], loaded, table, task, settings)
    return columns


def predict_each(
    answering: nn.Module,
    loaded: LoadedModel,
    table: pa.Table,
    task: TaskLabels,
    settings: Activations,
) -> list[dict[str, Any]]:
    """The same of a module that answers a batch several times: with a list of logits.

    Args:
        answering: made of the model of `loaded`, with its configuration.
        loaded: whose inputs it takes.
        table, task, settings: as for `predict`.

    Returns:
        For each of its answers the columns of the format "predictions".
    """
    return _predict(answering, list, loaded, table, task, settings)


def _predict(
    answering: nn.Module,
    logits_of: Callable[[Any], list[torch.Tensor]],
    loaded: LoadedModel,
    table: pa.Table,
    task: TaskLabels,
    settings: Activations,
) -> list[dict[str, Any]]:
    rows = table.to_pydict()
    sequences, wanted = _inputs(loaded, rows, task.kind, settings)
    found: dict[int, list[Probabilities]] = {}

    def probabilities(indices: list[int], batch: Any, output: Any) -> list[Probabilities]:
        answers = logits_of(output)
        return [torch.softmax(logits.float(), dim=-1).cpu().numpy() for logits in answers]

    given = (answering, sequences, loaded.special_tokens)
    for indices, answers in forward(
        *given, settings.batch_tokens, settings.precision, probabilities
    ):
        for place, index in enumerate(indices):
            found[index] = [np.atleast_2d(answer[place])[wanted[index]] for answer in answers]
    keys = _keys(rows, task.kind)
    predictions = []
    for each in zip(*(found[index] for index in range(len(sequences))), strict=True):
        together = np.concatenate(each)
        if task.merged:
            together = unmerge_probabilities(together, keys["example_id"], task.names)
        predictions.append(
            {
                **keys,
                "predicted": [task.names[index] for index in together.argmax(axis=1)],
                "probabilities": list(together),
            }
        )
    return predictions


def _inputs(
    loaded: LoadedModel, rows: Mapping[str, list[Any]], kind: str, settings: Activations
) -> tuple[list[Encoded], list[list[int]]]:
    """Sequences, and the positions of each whose outputs are wanted; 0 for the only one of an
    example with one label."""
    limit = position_limit(loaded.model, settings.max_length)
    reader = (loaded.tokenizer, loaded.special_tokens)
    if labels_examples(kind):
        sequences, cut = encode_examples(*reader, rows, kind, limit)
        wanted = [[0]] * len(sequences)
    else:
        windows, cut = encode_sentences(*reader, rows["tokens"], limit)
        sequences = [window for each in windows for window in each]
        wanted = [
            [labelled_position(span, loaded.architecture) for span in sequence.words]
            for sequence in sequences
        ]
    if cut:
        log.warning("%s cut to %d sub-words: %d", units(kind), limit, cut)
    return sequences, wanted


def _keys(rows: Mapping[str, list[Any]], kind: str) -> dict[str, Any]:
    """Key columns and true labels, one row per example or word (NER)."""
    if labels_examples(kind):
        truth, counts = rows["label"], [1] * len(rows["label"])
    else:
        truth = [tag for tags in rows["tags"] for tag in tags]
        counts = [len(words) for words in rows["tokens"]]
    return {
        **{
            name: np.repeat(np.asarray(rows[name], dtype=object), counts)
            for name in ("example_id", "group_id")
        },
        "word_index": [word for count in counts for word in range(count)],
        "label": truth,
    }
