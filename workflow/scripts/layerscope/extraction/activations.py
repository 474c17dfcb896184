"""Pooled hidden states of every layer, from one forward pass, streamed to Parquet.

`hidden_states[0]` of transformers is the embeddings, `hidden_states[i]` the output of block i; in
GPT-2 and BioGPT the last one has been through the final LayerNorm and the others have not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from layerscope.config.extraction import Activations, View
from layerscope.core.encodings import SEPARATE, encoding, is_last
from layerscope.core.formats import ActivationWriter
from layerscope.models.forward import forward
from layerscope.models.inputs import (
    Encoded,
    SpecialTokens,
    cut_words,
    encode_pairs,
    encode_text,
    encode_words,
    tokenise_words,
)
from layerscope.models.load import position_limit
from layerscope.models.pooling import last_tokens, sequence_means, word_lasts, word_means

BLOCK = 256  # examples in memory at a time
POOLING = {
    "separate": "mean over the real sub-words of premise and of hypothesis, concatenated",
    "joint": "mean over the real sub-words of the pair",
    "word": "mean over the sub-words of a word",
    "separate-last": "last real sub-word of premise and of hypothesis, concatenated",
    "joint-last": "last real sub-word of the pair",
    "word-last": "last sub-word of a word",
}

Vectors = npt.NDArray[np.float32]
#: From the states of a batch, and its mask or its words, to a vector a sequence or word and layer.
Pool = Callable[..., Any]

log = logging.getLogger(__name__)


def _vectors(
    model: PreTrainedModel,
    sequences: Sequence[Encoded],
    special_tokens: SpecialTokens,
    settings: Activations,
    pools: Sequence[Pool],
    places: Callable[[list[int], Mapping[str, Any]], Any],
) -> Iterator[tuple[list[int], Vectors]]:
    """Vectors of each batch on the host, those of several pools side by side."""

    def pooled(indices: list[int], batch: Mapping[str, Any], output: Any) -> Vectors:
        at = places(indices, batch)
        found = [pool(output.hidden_states, at).cpu().numpy() for pool in pools]
        return np.concatenate(found, axis=2)

    options = (settings.batch_tokens, settings.precision, pooled)
    yield from forward(model, sequences, special_tokens, *options, output_hidden_states=True)


def sequence_vectors(
    model: PreTrainedModel,
    sequences: Sequence[Encoded],
    special_tokens: SpecialTokens,
    settings: Activations,
    pools: Sequence[Pool] = (sequence_means,),
) -> Vectors:
    """Vectors of each sequence in the order given: sequences x layers x width.

    Those of several pools come from one pass and stand side by side: their widths add up.
    """
    found: dict[int, Vectors] = {}
    passes = _vectors(
        model, sequences, special_tokens, settings, pools, lambda _, batch: batch["attention_mask"]
    )
    for indices, pooled in passes:
        found.update(zip(indices, pooled, strict=True))
    return np.stack([found[index] for index in range(len(sequences))])


def word_vectors(
    model: PreTrainedModel,
    sequences: Sequence[Encoded],
    special_tokens: SpecialTokens,
    settings: Activations,
    pools: Sequence[Pool] = (word_means,),
) -> Vectors:
    """The same of each word of all sequences in the order given: words x layers x width."""

    def spans(indices: list[int], _: Any = None) -> list[Any]:
        return [sequences[index].words for index in indices]

    found: dict[int, Vectors] = {}
    for indices, pooled in _vectors(model, sequences, special_tokens, settings, pools, spans):
        ends = np.cumsum([len(span) for span in spans(indices)])[:-1]
        found.update(zip(indices, np.split(pooled, ends), strict=True))
    return np.concatenate([found[index] for index in range(len(sequences))])


def write_activations(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    special_tokens: SpecialTokens,
    table: pa.Table,
    paths: Mapping[View, str | Path],
    settings: Activations,
    metadata: Mapping[str, Any],
) -> None:
    """Encode a prepared table once and write its activations in some views, a block at a time.

    Args:
        model: base model in evaluation mode.
        tokenizer: of the model.
        special_tokens: of the tokenizer.
        table: prepared rows; rows are written in their order.
        paths: the file to write of each view; the views share an encoding (`encoding`), which
            is "separate" or "joint" (nli), or "word" (ner).
        settings: of the extraction.
        metadata: what readers should know besides pooling and shape.

    Texts and words that had to be cut are counted in the log.

    Raises:
        UserError: a value does not fit the stored dtype.
    """
    config = model.config
    limit = position_limit(model, settings.max_length)
    (how,) = {encoding(view) for view in paths}
    pools = [_pool(view) for view in paths]
    cut = 0
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                ActivationWriter(
                    path,
                    layers=config.num_hidden_layers + 1,
                    width=config.hidden_size * (2 if how == SEPARATE else 1),
                    dtype=settings.dtype,
                    metadata={**metadata, "view": view, "pooling": POOLING[view]},
                )
            )
            for view, path in paths.items()
        ]
        # A block is written while the next one is encoded: on a GPU both take about as long.
        writing = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        written: Future[None] | None = None
        for start in range(0, table.num_rows, BLOCK):
            rows = table.slice(start, BLOCK).to_pydict()
            if how == "word":
                words_of_all = [word for words in rows["tokens"] for word in words]
                pieces = tokenise_words(tokenizer, special_tokens, words_of_all)
                cut += cut_words(pieces, special_tokens, words_of_all, limit)
                sequences = [
                    window
                    for words in rows["tokens"]
                    for window in encode_words(pieces, special_tokens, words, limit)
                ]
                keys = _word_keys(rows)
                vectors = word_vectors(model, sequences, special_tokens, settings, pools)
            else:
                sequences, shortened = _pairs(tokenizer, special_tokens, rows, how, limit)
                cut += shortened
                keys = _example_keys(rows)
                vectors = sequence_vectors(model, sequences, special_tokens, settings, pools)
            views = np.split(vectors, len(pools), axis=2)
            if how == SEPARATE:
                views = [np.concatenate(np.split(each, 2), axis=2) for each in views]
            if written:
                written.result()
            written = writing.submit(_write, writers, keys, views)
        if written:
            written.result()
    if cut:
        names = ", ".join(map(str, paths.values()))
        log.warning("%s: %d texts or words cut to %d sub-words", names, cut, limit)


def _pool(view: View) -> Pool:
    if encoding(view) == "word":
        return word_lasts if is_last(view) else word_means
    return last_tokens if is_last(view) else sequence_means


def _write(
    writers: Sequence[ActivationWriter], keys: Mapping[str, list[Any]], views: Sequence[Vectors]
) -> None:
    for writer, vectors in zip(writers, views, strict=True):
        writer.write(keys, vectors)


def _pairs(
    tokenizer: PreTrainedTokenizerBase,
    special_tokens: SpecialTokens,
    rows: Mapping[str, list[Any]],
    how: str,
    limit: int,
) -> tuple[list[Encoded], int]:
    premises, hypotheses = rows["premise"], rows["hypothesis"]
    if how == "joint":
        return encode_pairs(tokenizer, special_tokens, premises, hypotheses, limit)
    return encode_text(tokenizer, special_tokens, [*premises, *hypotheses], limit)


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
