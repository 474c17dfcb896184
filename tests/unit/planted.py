"""Examples whose labels are planted, and tiny models that read them, for tests of interventions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from concept_erasure import LeaceEraser
from tiny_models import TEXTS, Tiny, ner_table, nli_table, text_table
from transformers import PreTrainedModel

from layerscope.analysis.interventions.erasure import (
    Inputs,
    fit_erasers,
    permuted,
    pooled_states,
    read_inputs,
)
from layerscope.config.extraction import Activations
from layerscope.data.labels import TaskLabels
from layerscope.models.load import load_with_head

LABELS = {
    "nli": ["contradiction", "entailment", "neutral"],
    "classification": ["background", "methods", "results"],
    "ner": ["O", "B-drug", "I-drug"],
}
WORDS = sorted({word for text in TEXTS for word in text.split()})
PASSES = Activations(max_length=64, batch_tokens=256)


def examples(kind: str, count: int, seed: int) -> pa.Table:
    """Made-up examples whose labels are planted: the words of one class are never of another."""
    rng = np.random.default_rng(seed)
    labels = LABELS[kind]
    own = [WORDS[place:9:3] for place in range(3)]
    if kind == "nli":
        rows = []
        for index in range(count):
            words = rng.choice(own[index % 3], size=int(rng.integers(4, 9)))
            rows.append((" ".join(words[:3]), " ".join(words[3:]), labels[index % 3]))
        return nli_table(rows)
    if kind == "classification":
        found = [rng.choice(own[index % 3], size=int(rng.integers(4, 9))) for index in range(count)]
        return text_table([(" ".join(words), labels[at % 3]) for at, words in enumerate(found)])
    sentences = []
    for _ in range(count):
        codes = rng.integers(3, size=int(rng.integers(3, 9)))
        sentences.append(
            ([str(rng.choice(own[code])) for code in codes], [labels[code] for code in codes])
        )
    return ner_table(sentences)


def with_head(tiny: Tiny, kind: str) -> PreTrainedModel:
    torch.manual_seed(11)
    return load_with_head(tiny.folder, tiny.tokenizer, kind, LABELS[kind])


def inputs(
    tiny: Tiny, model: PreTrainedModel, table: pa.Table, kind: str, limit: int = 64
) -> Inputs:
    task, settings = TaskLabels(kind, LABELS[kind]), PASSES.model_copy(update={"max_length": limit})
    return read_inputs(replace(tiny, model=model), table, task, settings)


def fitted(
    tiny: Tiny, model: PreTrainedModel, table: pa.Table, kind: str
) -> tuple[dict[str, list[LeaceEraser]], dict[str, list[LeaceEraser]]]:
    """By place, of the labels and of permuted ones."""
    given = inputs(tiny, model, table, kind)
    both = [given.codes, permuted(given.codes, "m", 0)]
    task, loaded = TaskLabels(kind, LABELS[kind]), replace(tiny, model=model)
    own, control = fit_erasers(loaded, given, both, task, PASSES)
    return own, control


def pooled(
    tiny: Tiny, model: PreTrainedModel, table: pa.Table, kind: str, place: str
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of each block, rows x layers x width, and the rows' labels."""
    given = inputs(tiny, model, table, kind)
    vectors, labels = [], []
    for indices, found in pooled_states(replace(tiny, model=model), given, PASSES):
        vectors.append(found[place].numpy())
        labels += [given.codes[index] for index in indices]
    return np.concatenate(vectors), np.concatenate(labels)
