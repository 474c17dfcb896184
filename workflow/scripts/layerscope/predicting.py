"""Predictions of a fine-tuned model: one row an example (NLI) or a word (NER)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from layerscope.config.extraction import Activations
from layerscope.models.forward import forward
from layerscope.models.inputs import (
    Frame,
    cut_words,
    encode_pairs,
    encode_words,
    labelled_position,
    tokenise_words,
)
from layerscope.models.load import position_limit

Probabilities = npt.NDArray[np.float32]

log = logging.getLogger(__name__)


def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    frame: Frame,
    table: pa.Table,
    *,
    kind: str,
    architecture: str,
    labels: Sequence[str],
    settings: Activations,
) -> dict[str, Any]:
    """Predict the label of every example or word of a prepared table.

    Pairs and words that had to be cut are counted in the log.

    Args:
        model: with its head, in evaluation mode.
        tokenizer: of the model.
        frame: of the tokenizer.
        table: prepared rows.
        kind: "nli" or "ner".
        architecture: "encoder" or "decoder".
        labels: label names in the order of the head's outputs.
        settings: limits and precision of the forward pass.

    Returns:
        Columns of the format "predictions", in the order of the table.
    """
    rows = table.to_pydict()
    limit = position_limit(model, settings.max_length)
    if kind == "nli":
        sequences, cut = encode_pairs(tokenizer, frame, rows["premise"], rows["hypothesis"], limit)
        wanted: list[list[int]] = [[0]] * len(sequences)
        truth, counts = rows["label"], [1] * len(sequences)
    else:
        words_of_all = [word for words in rows["tokens"] for word in words]
        pieces = tokenise_words(tokenizer, frame, words_of_all)
        cut = cut_words(pieces, frame, words_of_all, limit)
        sequences = [
            w for words in rows["tokens"] for w in encode_words(pieces, frame, words, limit)
        ]
        wanted = [[labelled_position(s, architecture) for s in seq.words] for seq in sequences]
        truth = [tag for tags in rows["tags"] for tag in tags]
        counts = [len(words) for words in rows["tokens"]]
    if cut:
        log.warning("%d pairs or words cut to %d sub-words", cut, limit)
    found: dict[int, Probabilities] = {}
    passes = forward(model, sequences, frame, settings.batch_tokens, settings.precision)
    for indices, _, output in passes:
        probabilities = torch.softmax(output.logits.float(), dim=-1).cpu().numpy()
        for index, row in zip(indices, probabilities, strict=True):
            found[index] = np.atleast_2d(row)[wanted[index]]
    together = np.concatenate([found[index] for index in range(len(sequences))])
    return {
        "example_id": np.repeat(np.asarray(rows["example_id"], dtype=object), counts),
        "group_id": np.repeat(np.asarray(rows["group_id"], dtype=object), counts),
        "word_index": [word for count in counts for word in range(count)],
        "label": truth,
        "predicted": [labels[index] for index in together.argmax(axis=1)],
        "probabilities": list(together),
    }
