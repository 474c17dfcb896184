"""Pooled hidden states of every layer, from one forward pass, streamed to Parquet.

`hidden_states[0]` of transformers is the embeddings, `hidden_states[i]` the output of block i; in
GPT-2 and BioGPT the last one has been through the final LayerNorm and the others have not. What is
otherwise in some families is put in this order (`layerscope.models.hooks.embeddings_first`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.config.extraction import Activations, View
from layerscope.core.encodings import SEPARATE, TEXT, encoding, is_last
from layerscope.core.formats import ActivationWriter
from layerscope.extraction.once import Once, Text, texts_of
from layerscope.models.forward import forward
from layerscope.models.hooks import embeddings_first
from layerscope.models.inputs import Encoded, encode_pairs, encode_sentences, encode_text
from layerscope.models.load import position_limit
from layerscope.models.loaded import LoadedModel
from layerscope.models.pooling import last_tokens, sequence_means, word_lasts, word_means

BLOCK = 256  # examples in memory at a time
POOLING = {
    "separate": "mean over the real sub-words of premise and of hypothesis, concatenated",
    "joint": "mean over the real sub-words of the pair",
    "text": "mean over the real sub-words of the text",
    "word": "mean over the sub-words of a word",
    "separate-last": "last real sub-word of premise and of hypothesis, concatenated",
    "joint-last": "last real sub-word of the pair",
    "text-last": "last real sub-word of the text",
    "word-last": "last sub-word of a word",
}

Vectors = npt.NDArray[np.float32]
#: From the states of a batch, and its mask or its words, to a vector a sequence or word and layer.
Pool = Callable[..., Any]

log = logging.getLogger(__name__)


def _vectors(
    loaded: LoadedModel,
    sequences: Sequence[Encoded],
    settings: Activations,
    pools: Sequence[Pool],
    places: Callable[[list[int], Mapping[str, Any]], Any],
) -> Iterator[tuple[list[int], Vectors]]:
    """Vectors of each batch on the host, those of several pools side by side."""

    stored = _stored(loaded, settings)
    with embeddings_first(loaded.model) as layers:

        def pooled(indices: list[int], batch: Mapping[str, Any], output: Any) -> Vectors:
            at, found = places(indices, batch), layers(output.hidden_states)
            states = [found[layer] for layer in stored]
            return np.concatenate([pool(states, at).cpu().numpy() for pool in pools], axis=2)

        given = (loaded.model, sequences, loaded.special_tokens)
        options = (settings.batch_tokens, settings.precision, pooled)
        yield from forward(*given, *options, output_hidden_states=True)


def _stored(loaded: LoadedModel, settings: Activations) -> list[int]:
    """Numbers of the layers that are stored, ascending."""
    config = loaded.model.config
    return settings.stored(config.num_hidden_layers, config.name_or_path or "the model")


def sequence_vectors(
    loaded: LoadedModel,
    sequences: Sequence[Encoded],
    settings: Activations,
    pools: Sequence[Pool] = (sequence_means,),
) -> Vectors:
    """Vectors of each sequence in the order given: sequences x stored layers x width.

    Those of several pools come from one pass and stand side by side: their widths add up.
    """
    found: dict[int, Vectors] = {}
    passes = _vectors(loaded, sequences, settings, pools, lambda _, batch: batch["attention_mask"])
    for indices, pooled in passes:
        found.update(zip(indices, pooled, strict=True))
    return np.stack([found[index] for index in range(len(sequences))])


def word_vectors(
    loaded: LoadedModel,
    sequences: Sequence[Encoded],
    settings: Activations,
    pools: Sequence[Pool] = (word_means,),
) -> Vectors:
    """The same of each word of all sequences in the order given: words x stored layers x width."""

    def spans(indices: list[int], _: Any = None) -> list[Any]:
        return [sequences[index].words for index in indices]

    found: dict[int, Vectors] = {}
    for indices, pooled in _vectors(loaded, sequences, settings, pools, spans):
        ends = np.cumsum([len(span) for span in spans(indices)])[:-1]
        found.update(zip(indices, np.split(pooled, ends), strict=True))
    return np.concatenate([found[index] for index in range(len(sequences))])


def write_activations(
    loaded: LoadedModel,
    table: pa.Table,
    paths: Mapping[View, str | Path],
    settings: Activations,
    metadata: Mapping[str, Any],
    once: Once | None = None,
) -> None:
    """Encode a prepared table once and write its activations in some views, a block at a time.

    Identical texts get identical vectors.

    Args:
        loaded: base model in evaluation mode.
        table: prepared rows; rows are written in their order.
        paths: the file to write of each view; the views share an encoding (`encoding`), which
            is "separate" or "joint" (nli), "text" (classification) or "word" (ner).
        settings: of the extraction.
        metadata: what readers should know besides pooling and shape.
        once: vectors of texts that this table shares with others; without it, of this table alone.

    Distinct texts and words that had to be cut are counted in the log.

    Raises:
        UserError: a value does not fit the stored dtype, or a layer to store is past the last.
    """
    limit = position_limit(loaded.model, settings.max_length)
    (how,) = {encoding(view) for view in paths}
    cut = 0
    with ExitStack() as stack:
        writers = [
            stack.enter_context(_writer(loaded, view, path, settings, metadata))
            for view, path in paths.items()
        ]
        if once is None:
            folder = Path(next(iter(paths.values()))).parent
            once = Once([table], how, stack.enter_context(TemporaryFile(dir=folder)))
        # A block is written while the next one is encoded: on a GPU both take about as long.
        writing = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        written: Future[None] | None = None
        for start in range(0, table.num_rows, BLOCK):
            block = table.slice(start, BLOCK)
            views, shortened = _block(loaded, block, list(paths), settings, limit, once)
            cut += shortened
            if written:
                written.result()
            rows = block.to_pydict()
            keys = _word_keys(rows) if how == "word" else _example_keys(rows)
            written = writing.submit(_write, writers, keys, views)
        if written:
            written.result()
    if cut:
        names = ", ".join(map(str, paths.values()))
        log.warning("%s: %d texts or words cut to %d sub-words", names, cut, limit)


def _writer(
    loaded: LoadedModel,
    view: View,
    path: str | Path,
    settings: Activations,
    metadata: Mapping[str, Any],
) -> ActivationWriter:
    config = loaded.model.config
    return ActivationWriter(
        path,
        layers=config.num_hidden_layers + 1,
        width=config.hidden_size * (2 if encoding(view) == SEPARATE else 1),
        dtype=settings.dtype,
        metadata={**metadata, "view": view, "pooling": POOLING[view]},
        stored=_stored(loaded, settings),
    )


def write_all_activations(
    loaded: LoadedModel,
    splits: Mapping[str, tuple[pa.Table, Mapping[str, Any]]],
    views: Sequence[View],
    folder: Path,
    settings: Activations,
) -> None:
    """Write `{view}/{split}.parquet` of each view and split; views that share an encoding at once.

    Args:
        loaded: as for `write_activations`.
        splits: the prepared rows of each split, and what readers should know of them.
        views: of one kind of task.
        folder: an existing folder.
        settings: of the extraction.

    Raises:
        UserError: as for `write_activations`.
    """
    for how in dict.fromkeys(map(encoding, views)):
        alike = [view for view in views if encoding(view) == how]
        with TemporaryFile(dir=folder) as file:
            once = Once([table for table, _ in splits.values()], how, file)
            for split, (table, described) in splits.items():
                paths = {view: folder / view / f"{split}.parquet" for view in alike}
                write_activations(loaded, table, paths, settings, described, once)


def _block(
    loaded: LoadedModel,
    block: pa.Table,
    views: Sequence[View],
    settings: Activations,
    limit: int,
    once: Once,
) -> tuple[list[Vectors], int]:
    """Vectors of a block of rows in each view, and how many new texts or words are cut."""
    how = encoding(views[0])
    pools = [_pool(view) for view in views]
    cut = 0

    def encode(texts: list[Text]) -> list[Vectors]:
        nonlocal cut
        found, cut = _encoded(loaded, texts, how, settings, limit, pools)
        return found

    vectors = np.concatenate(once.vectors(texts_of(block, how), encode))
    found = np.split(vectors, len(pools), axis=2)
    if how == SEPARATE:
        found = [np.concatenate(np.split(each, 2), axis=2) for each in found]
    return found, cut


def _encoded(
    loaded: LoadedModel,
    texts: Sequence[Any],
    how: str,
    settings: Activations,
    limit: int,
    pools: Sequence[Pool],
) -> tuple[list[Vectors], int]:
    """Of each text its vectors (1, or its words, x stored layers x width), and how many are cut."""
    reader = (loaded.tokenizer, loaded.special_tokens)
    if how == "word":
        windows, cut = encode_sentences(*reader, texts, limit)
        vectors = word_vectors(loaded, list(chain.from_iterable(windows)), settings, pools)
        return np.split(vectors, np.cumsum([len(words) for words in texts])[:-1]), cut
    if how in (SEPARATE, TEXT):
        sequences, cut = encode_text(*reader, texts, limit)
    else:
        premises, hypotheses = ([pair[side] for pair in texts] for side in (0, 1))
        sequences, cut = encode_pairs(*reader, premises, hypotheses, limit)
    vectors = sequence_vectors(loaded, sequences, settings, pools)
    return np.split(vectors, len(vectors)), cut


def _pool(view: View) -> Pool:
    if encoding(view) == "word":
        return word_lasts if is_last(view) else word_means
    return last_tokens if is_last(view) else sequence_means


def _write(
    writers: Sequence[ActivationWriter], keys: Mapping[str, list[Any]], views: Sequence[Vectors]
) -> None:
    for writer, vectors in zip(writers, views, strict=True):
        writer.write(keys, vectors)


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
