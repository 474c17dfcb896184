"""Pooled hidden states of every layer, from one forward pass, streamed to Parquet.

`hidden_states[0]` of transformers is the embeddings, `hidden_states[i]` the output of block i; in
GPT-2 and BioGPT the last one has been through the final LayerNorm and the others have not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from layerscope.config.extraction import Activations, View
from layerscope.formats import ActivationWriter
from layerscope.models.forward import forward
from layerscope.models.inputs import (
    Encoded,
    Frame,
    cut_words,
    encode_pairs,
    encode_text,
    encode_words,
    tokenise_words,
)
from layerscope.models.load import position_limit
from layerscope.models.pooling import sequence_means, word_means

BLOCK = 256  # examples in memory at a time
POOLING = {
    "separate": "mean over the real sub-words of premise and of hypothesis, concatenated",
    "joint": "mean over the real sub-words of the pair",
    "word": "mean over the sub-words of a word",
}

Vectors = npt.NDArray[np.float32]

log = logging.getLogger(__name__)


def _states(
    model: PreTrainedModel, sequences: Sequence[Encoded], frame: Frame, settings: Activations
) -> Iterator[tuple[list[int], Any, Any]]:
    passes = forward(
        model,
        sequences,
        frame,
        settings.batch_tokens,
        settings.precision,
        output_hidden_states=True,
    )
    for indices, batch, output in passes:
        yield indices, batch, output.hidden_states


def sequence_vectors(
    model: PreTrainedModel, sequences: Sequence[Encoded], frame: Frame, settings: Activations
) -> Vectors:
    """Mean vector of each sequence in the order given: sequences x layers x width."""
    found: dict[int, Vectors] = {}
    for indices, batch, hidden in _states(model, sequences, frame, settings):
        means = sequence_means(hidden, batch["attention_mask"]).cpu().numpy()
        found.update(zip(indices, means, strict=True))
    return np.stack([found[index] for index in range(len(sequences))])


def word_vectors(
    model: PreTrainedModel, sequences: Sequence[Encoded], frame: Frame, settings: Activations
) -> Vectors:
    """Vector of each word of all sequences in the order given: words x layers x width."""
    found: dict[int, Vectors] = {}
    for indices, _, hidden in _states(model, sequences, frame, settings):
        spans = [sequences[index].words for index in indices]
        means = word_means(hidden, spans).cpu().numpy()
        ends = np.cumsum([len(span) for span in spans])[:-1]
        found.update(zip(indices, np.split(means, ends), strict=True))
    return np.concatenate([found[index] for index in range(len(sequences))])


def write_activations(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    frame: Frame,
    table: pa.Table,
    view: View,
    path: str | Path,
    settings: Activations,
    metadata: Mapping[str, Any],
) -> None:
    """Encode a prepared table in one view and write its activations, a block at a time.

    Args:
        model: base model in evaluation mode.
        tokenizer: of the model.
        frame: of the tokenizer.
        table: prepared rows; rows are written in their order.
        view: "separate" or "joint" (nli), "word" (ner).
        path: the file to write.
        settings: of the extraction.
        metadata: what readers should know besides pooling and shape.

    Texts and words that had to be cut are counted in the log.

    Raises:
        UserError: a value does not fit the stored dtype.
    """
    config = model.config
    limit = position_limit(model, settings.max_length)
    writer = ActivationWriter(
        path,
        layers=config.num_hidden_layers + 1,
        width=config.hidden_size * (2 if view == "separate" else 1),
        dtype=settings.dtype,
        metadata={**metadata, "view": view, "pooling": POOLING[view]},
    )
    cut = 0
    # A block is written while the next one is encoded: on a GPU both take about as long.
    with writer, ThreadPoolExecutor(max_workers=1) as writing:
        written: Future[None] | None = None
        for start in range(0, table.num_rows, BLOCK):
            rows = table.slice(start, BLOCK).to_pydict()
            if view == "word":
                words_of_all = [word for words in rows["tokens"] for word in words]
                pieces = tokenise_words(tokenizer, frame, words_of_all)
                cut += cut_words(pieces, frame, words_of_all, limit)
                sequences = [
                    window
                    for words in rows["tokens"]
                    for window in encode_words(pieces, frame, words, limit)
                ]
                keys, vectors = _word_keys(rows), word_vectors(model, sequences, frame, settings)
            else:
                sequences, shortened = _pairs(tokenizer, frame, rows, view, limit)
                cut += shortened
                keys = _example_keys(rows)
                vectors = sequence_vectors(model, sequences, frame, settings)
                if view == "separate":
                    vectors = np.concatenate(np.split(vectors, 2), axis=2)
            if written:
                written.result()
            written = writing.submit(writer.write, keys, vectors)
        if written:
            written.result()
    if cut:
        log.warning("%s: %d texts or words cut to %d sub-words", path, cut, limit)


def _pairs(
    tokenizer: PreTrainedTokenizerBase,
    frame: Frame,
    rows: Mapping[str, list[Any]],
    view: View,
    limit: int,
) -> tuple[list[Encoded], int]:
    premises, hypotheses = rows["premise"], rows["hypothesis"]
    if view == "joint":
        return encode_pairs(tokenizer, frame, premises, hypotheses, limit)
    return encode_text(tokenizer, frame, [*premises, *hypotheses], limit)


def _example_keys(rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    count = len(rows["example_id"])
    return {
        "example_id": rows["example_id"],
        "group_id": rows["group_id"],
        "word_index": [0] * count,
        "word": [""] * count,
        "label": rows["label"],
    }


def _word_keys(rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    keys: dict[str, list[Any]] = {
        name: [] for name in ("example_id", "group_id", "word_index", "word", "label")
    }
    examples = zip(rows["example_id"], rows["group_id"], rows["tokens"], rows["tags"], strict=True)
    for example, group, tokens, tags in examples:
        keys["example_id"] += [example] * len(tokens)
        keys["group_id"] += [group] * len(tokens)
        keys["word_index"] += range(len(tokens))
        keys["word"] += tokens
        keys["label"] += tags
    return keys
