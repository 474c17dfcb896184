"""Layers of a model described by texts alone: passes over texts and their edits.

Vectors of whole texts are held, texts x layers x width; of tokens, only what is measured of a text,
batch by batch. Padding and special tokens do not count.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from layerscope.analysis.representation_quality.edits import Text, drawn, edited, texts_of
from layerscope.analysis.representation_quality.measures import (
    curvature,
    effective_rank,
    invariance,
    matrix_entropy,
)
from layerscope.config.extraction import Activations
from layerscope.core.errors import NotApplicableError
from layerscope.core.table_files import number
from layerscope.models.forward import forward
from layerscope.models.hooks import embeddings_first
from layerscope.models.inputs import Encoded, encode_sentences, encode_text
from layerscope.models.load import position_limit
from layerscope.models.loaded import LoadedModel

#: Texts at most.
TEXTS = 200
#: Measures that each text has one value of, and those of all texts together.
OF_TEXTS = ("prompt_entropy", "curvature", "invariance")
OF_ALL = ("dataset_entropy", "effective_rank")

Row = dict[str, Any]
Floats = npt.NDArray[np.floating[Any]]
log = logging.getLogger(__name__)


def encode(loaded: LoadedModel, texts: Sequence[Text], limit: int) -> list[Encoded]:
    """One sequence per text; of a longer one its beginning, of a sentence in whole words."""
    reader = (loaded.tokenizer, loaded.special_tokens)
    if texts and isinstance(texts[0], str):
        sequences, cut = encode_text(*reader, [str(text) for text in texts], limit)
    else:
        windows, _ = encode_sentences(*reader, [list(text) for text in texts], limit)
        sequences = [found[0] for found in windows]
        cut = sum(len(found) > 1 for found in windows)
    if cut:
        log.warning("%d of %d texts cut to %d sub-words", cut, len(texts), limit)
    return sequences


def _real(sequences: Sequence[Encoded], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Tokens that count, batch x tokens, on the host."""
    real = batch["attention_mask"].bool().cpu()
    for row, sequence in enumerate(sequences):
        real[row, list(sequence.special)] = False
    return real


def passed(
    loaded: LoadedModel, sequences: Sequence[Encoded], settings: Activations, *, tokens: bool
) -> dict[str, Floats]:
    """What texts are at every layer.

    Args:
        loaded: a model without a head.
        sequences: of the texts, each with a token that counts.
        settings: of the forward passes.
        tokens: whether measures of tokens are wanted.

    Returns:
        `vectors`, the means over tokens: texts x layers x width; and if tokens are wanted,
        `prompt_entropy` and `curvature`: texts x layers.
    """
    with embeddings_first(loaded.model) as layers:

        def read(
            indices: list[int], batch: Mapping[str, torch.Tensor], output: Any
        ) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            counted = _real([sequences[index] for index in indices], batch)
            for states in layers(output.hidden_states):
                real = counted.to(states.device)  # of a model on several devices
                weights = real.float() / real.sum(dim=1, keepdim=True)
                values = {"vectors": torch.bmm(weights.unsqueeze(1), states.float())[:, 0]}
                if tokens:
                    values["prompt_entropy"] = matrix_entropy(states, real)
                    values["curvature"] = curvature(states, real)
                found.append({name: value.cpu().numpy() for name, value in values.items()})
            return found

        given = (loaded.model, sequences, loaded.special_tokens)
        options = (settings.batch_tokens, settings.precision, read)
        order: list[int] = []
        blocks: dict[str, list[Floats]] = {}
        for indices, found in forward(*given, *options, output_hidden_states=True):
            order += indices
            for name in found[0]:
                by_layer = np.stack([each[name] for each in found], axis=1)
                blocks.setdefault(name, []).append(by_layer)
    back = np.argsort(order)
    return {name: np.concatenate(block)[back] for name, block in blocks.items()}


def _pairs(
    loaded: LoadedModel, texts: Sequence[Text], limit: int
) -> tuple[list[Encoded], list[Encoded | None]]:
    """Sequences of texts with a token that counts, and those of their edits.

    None of an edit that the model would not see: there is none, its tokenizer makes the same of
    both, or it lies past the limit.
    """
    changed = [edited(text) for text in texts]
    sequences = encode(loaded, texts, limit)
    others = iter(encode(loaded, [text for text in changed if text is not None], limit))
    edits = [None if text is None else next(others) for text in changed]
    kept = [
        (one, other if other and other.ids != one.ids else None)
        for one, other in zip(sequences, edits, strict=True)
        if len(one.ids) > len(one.special)
    ]
    return [one for one, _ in kept], [other for _, other in kept]


def described_layers(
    loaded: LoadedModel, table: pa.Table, kind: str, settings: Activations
) -> tuple[list[Row], dict[str, str]]:
    """Measures of each layer, from texts of prepared rows.

    Args:
        loaded: a model without a head.
        table: prepared rows, of which at most `TEXTS` distinct texts are drawn.
        kind: of the task.
        settings: of the forward passes.

    Returns:
        Rows of kind "representation_quality", and reasons by analysis for what is missing.

    Raises:
        NotApplicableError: fewer than two texts have a token.
    """
    limit = position_limit(loaded.model, settings.max_length)
    sequences, edits = _pairs(loaded, drawn(texts_of(table, kind), TEXTS), limit)
    if len(sequences) < 2:
        raise NotApplicableError(f"{len(sequences)} distinct texts; allowed: two or more")
    values = passed(loaded, sequences, settings, tokens=True)
    seen = [place for place, edit in enumerate(edits) if edit is not None]
    missing = {}
    if len(seen) < 2:
        missing = {"invariance": f"{len(seen)} texts have an edit that the model sees"}
        changed = None
    else:
        read = [edit for edit in edits if edit is not None]
        changed = passed(loaded, read, settings, tokens=False)["vectors"]
    return list(_rows(values, seen, changed)), missing


def _rows(
    values: Mapping[str, Floats], seen: Sequence[int], changed: Floats | None
) -> Iterator[Row]:
    """Rows by layer: of all texts, then of each; none of what has no value."""
    for layer in range(values["vectors"].shape[1]):
        vectors = torch.from_numpy(values["vectors"][:, layer])
        of_all = (float(matrix_entropy(vectors)), effective_rank(vectors))
        for measure, value in zip(OF_ALL, of_all, strict=True):
            yield {"text": None, "layer": layer, "measure": measure, "value": number(value)}
        of_texts = {name: dict(enumerate(values[name][:, layer])) for name in OF_TEXTS[:2]}
        if changed is not None:
            found = invariance(vectors[list(seen)], torch.from_numpy(changed[:, layer]))
            of_texts["invariance"] = dict(zip(seen, found.numpy(), strict=True))
        for measure, by_text in of_texts.items():
            for text, value in by_text.items():
                yield {
                    "text": text,
                    "layer": layer,
                    "measure": measure,
                    "value": number(float(value)),
                }
