"""Predictions of a fine-tuned model: one row an example (NLI) or a word (NER)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from layerscope.config.extraction import Activations
from layerscope.data.iob import entity_labels, merged_labels
from layerscope.models.forward import forward
from layerscope.models.inputs import (
    SpecialTokens,
    cut_words,
    encode_pairs,
    encode_words,
    labelled_position,
    tokenise_words,
)
from layerscope.models.load import position_limit

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
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    special_tokens: SpecialTokens,
    table: pa.Table,
    *,
    kind: str,
    architecture: str,
    labels: Sequence[str],
    settings: Activations,
    merge_tags: bool = False,
) -> dict[str, Any]:
    """Predict the label of every example or word of a prepared table.

    Pairs and words that had to be cut are counted in the log.

    Args:
        model: with its head, in evaluation mode.
        tokenizer: of the model.
        special_tokens: of the tokenizer.
        table: prepared rows.
        kind: "nli" or "ner".
        architecture: "encoder" or "decoder".
        labels: label names; the head's outputs follow them, or `iob.merged_labels` of them.
        settings: limits and precision of the forward pass.
        merge_tags: whether the head knows types alone; predictions are IOB2 tags in any case.

    Returns:
        Columns of the format "predictions", in the order of the table.
    """
    given = (
        model,
        tokenizer,
        special_tokens,
        table,
        kind,
        architecture,
        labels,
        settings,
        merge_tags,
    )
    return _predict(*given, lambda output: [output.logits])[0]


def predict_each(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    special_tokens: SpecialTokens,
    table: pa.Table,
    *,
    kind: str,
    architecture: str,
    labels: Sequence[str],
    settings: Activations,
    merge_tags: bool = False,
) -> list[dict[str, Any]]:
    """The same of a model that answers a batch several times: with a list of logits.

    Returns:
        For each of its answers the columns of the format "predictions".
    """
    given = (
        model,
        tokenizer,
        special_tokens,
        table,
        kind,
        architecture,
        labels,
        settings,
        merge_tags,
    )
    return _predict(*given, list)


def _predict(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    special_tokens: SpecialTokens,
    table: pa.Table,
    kind: str,
    architecture: str,
    labels: Sequence[str],
    settings: Activations,
    merge_tags: bool,
    logits_of: Callable[[Any], list[torch.Tensor]],
) -> list[dict[str, Any]]:
    rows = table.to_pydict()
    limit = position_limit(model, settings.max_length)
    if kind == "nli":
        sequences, cut = encode_pairs(
            tokenizer, special_tokens, rows["premise"], rows["hypothesis"], limit
        )
        wanted: list[list[int]] = [[0]] * len(sequences)
        truth, counts = rows["label"], [1] * len(sequences)
    else:
        words_of_all = [word for words in rows["tokens"] for word in words]
        pieces = tokenise_words(tokenizer, special_tokens, words_of_all)
        cut = cut_words(pieces, special_tokens, words_of_all, limit)
        sequences = [
            w
            for words in rows["tokens"]
            for w in encode_words(pieces, special_tokens, words, limit)
        ]
        wanted = [[labelled_position(s, architecture) for s in seq.words] for seq in sequences]
        truth = [tag for tags in rows["tags"] for tag in tags]
        counts = [len(words) for words in rows["tokens"]]
    if cut:
        log.warning("%d pairs or words cut to %d sub-words", cut, limit)
    found: dict[int, list[Probabilities]] = {}

    def probabilities(indices: list[int], batch: Any, output: Any) -> list[Probabilities]:
        answers = logits_of(output)
        return [torch.softmax(logits.float(), dim=-1).cpu().numpy() for logits in answers]

    passes = forward(
        model, sequences, special_tokens, settings.batch_tokens, settings.precision, probabilities
    )
    for indices, answers in passes:
        for place, index in enumerate(indices):
            found[index] = [np.atleast_2d(answer[place])[wanted[index]] for answer in answers]
    example_ids = np.repeat(np.asarray(rows["example_id"], dtype=object), counts)
    group_ids = np.repeat(np.asarray(rows["group_id"], dtype=object), counts)
    predictions = []
    for each in zip(*(found[index] for index in range(len(sequences))), strict=True):
        together = np.concatenate(each)
        if merge_tags:
            together = unmerge_probabilities(together, example_ids, labels)
        predictions.append(
            {
                "example_id": example_ids,
                "group_id": group_ids,
                "word_index": [word for count in counts for word in range(count)],
                "label": truth,
                "predicted": [labels[index] for index in together.argmax(axis=1)],
                "probabilities": list(together),
            }
        )
    return predictions
