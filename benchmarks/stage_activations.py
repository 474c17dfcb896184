"""Activations of all layers: pairs of texts, encoded apart, to a Parquet file.

- layerscope: `write_activations`, all of it: sub-words, batches, pooling, float16, Parquet.
- published: one text at a time, one pass a layer of which that layer alone is kept, mean over the
  real tokens, a file a layer.
- plain: batches of 32 in the order of the data, padded to their longest; masked means of all
  layers; a column of lists a layer through pandas.
- limit: a matrix product. The share is of operations that the texts need, by `Shape.flops`: what
  is computed on padding, and all else that takes time, is loss.

    python benchmarks/stage_activations.py [--smoke] [--out FILE]
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapes
import stage
import torch
from measure import take_turns
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from layerscope.config.extraction import Activations
from layerscope.core.formats import read_layer
from layerscope.extraction.activations import BLOCK, write_activations
from layerscope.models.forward import batches
from layerscope.models.inputs import encode_text
from layerscope.models.load import fuse_activations
from layerscope.models.loaded import LoadedModel

BATCH = 32
TOLERANCE = 2e-4  # of float32 vectors
#: Pairs for layerscope (a whole block of BERT-base), plain and published, by size of the run.
PAIRS = {
    "full": [(shapes.BERT_BASE, 256, 64, 6), (shapes.GPT2_MEDIUM, 256, 32, 2)],
    "smoke": [(shapes.TINY_BERT, 40, 32, 3), (shapes.TINY_GPT2, 40, 32, 3)],
}
TURNS = {"full": 3, "smoke": 2}


def published(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, table: pa.Table, folder: Path
) -> list[np.ndarray[Any, Any]]:
    """A pass a layer and text; rows x twice the width for each layer."""
    rows = table.to_pydict()
    layers = []
    for layer in range(model.config.num_hidden_layers + 1):
        vectors = []
        for texts in zip(rows["premise"], rows["hypothesis"], strict=True):
            halves = []
            for text in texts:
                inputs = tokenizer(
                    text, return_tensors="pt", truncation=True, max_length=shapes.LIMIT
                ).to(model.device)
                with torch.no_grad():
                    output = model(**inputs, output_hidden_states=True)
                halves.append(output.hidden_states[layer][0].mean(dim=0).float().cpu().numpy())
            vectors.append(np.concatenate(halves))
        layers.append(np.stack(vectors))
        np.save(folder / f"published-{layer}.npy", layers[-1].astype(np.float16))
    return layers


def plain(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, table: pa.Table, path: Path
) -> None:
    """Batches of 32 in the order of the data."""
    rows = table.to_pydict()
    sides = []
    for texts in (rows["premise"], rows["hypothesis"]):
        found = []
        for start in range(0, len(texts), BATCH):
            inputs = tokenizer(
                texts[start : start + BATCH],
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=shapes.LIMIT,
            ).to(model.device)
            with torch.no_grad():
                states = torch.stack(model(**inputs, output_hidden_states=True).hidden_states)
            mask = inputs["attention_mask"][None, :, :, None]
            found.append(((states * mask).sum(dim=2) / mask.sum(dim=2)).float().cpu().numpy())
        sides.append(np.concatenate(found, axis=1))
    layers = np.concatenate(sides, axis=2).astype(np.float16)
    frame = pd.DataFrame({"example_id": rows["example_id"], "label": rows["label"]})
    for number, vectors in enumerate(layers):
        frame[f"layer_{number}"] = list(vectors)
    frame.to_parquet(path, compression=None)


def read_plain(path: Path, layers: int) -> np.ndarray[Any, Any]:
    """What `plain` wrote: rows x layers x width."""
    table = pq.read_table(path)
    columns = [table.column(f"layer_{layer}").to_pylist() for layer in range(layers)]
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def measure_shape(
    shape: shapes.Shape, counts: tuple[int, int, int], size: str
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Equality, ways, ratios and shares of the limit for one model."""
    loaded = shapes.loaded(shape)
    model, tokenizer = loaded.model, loaded.tokenizer
    fused = replace(loaded, model=fuse_activations(copy.deepcopy(model)))  # as the library loads
    table = shapes.pairs(counts[0])
    some, few = (shapes.spread_out(table, count) for count in counts[1:])
    settings = Activations()
    lengths, some_lengths, few_lengths = (_lengths(loaded, each) for each in (table, some, few))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)

        def ours(rows: pa.Table, dtype: str) -> Path:
            path = folder / f"layerscope-{dtype}.parquet"
            changed = settings.model_copy(update={"dtype": dtype})
            write_activations(fused, rows, {"separate": path}, changed, {})
            return path

        layers = range(shape.layers + 1)
        expected = np.stack(published(model, tokenizer, few, folder), axis=1)
        exact = ours(few, "float32")
        found = np.stack([read_layer(exact, layer) for layer in layers], axis=1)
        same = stage.equal(f"{shape.name}: layerscope, published", found, expected, TOLERANCE)
        plain(model, tokenizer, few, folder / "plain.parquet")
        half = ours(few, "float16")
        stored = np.stack([read_layer(half, layer) for layer in layers], axis=1)
        other = read_plain(folder / "plain.parquet", len(layers))
        step = 2.0**-10 * float(np.abs(stored).max())  # of float16, at the largest value
        same |= stage.equal(f"{shape.name}: layerscope, plain, as stored", stored, other, step)

        multiply, operations = stage.product(size)
        ways: dict[str, Callable[[], Any]] = {
            "layerscope": lambda: ours(table, "float16"),
            "published": lambda: published(model, tokenizer, few, folder),
            "plain": lambda: plain(model, tokenizer, some, folder / "plain.parquet"),
            "product": multiply,
        }
        # All of them have run by now.
        seconds = take_turns(ways, TURNS[size], warm_up=False)
    unit = "sub-words/s"
    figures = {
        "layerscope": stage.way(sum(lengths), seconds["layerscope"], unit),
        "published": stage.way(sum(few_lengths), seconds["published"], unit),
        "plain": stage.way(sum(some_lengths), seconds["plain"], unit),
        "matrix product": stage.way(operations / 1e9, seconds["product"], "GFLOP/s"),
    }
    limits = {
        f"{shape.name}: {name}": stage.share(
            shape.flops(needed), seconds[name], operations, seconds["product"]
        )
        for name, needed in (("layerscope", lengths), ("plain", some_lengths))
    }
    limits[f"{shape.name}: layerscope, real sub-words of those computed"] = _filled(
        lengths, settings.batch_tokens
    )
    ratios = {
        f"{shape.name}: layerscope / {name}": stage.faster(figures["layerscope"], figures[name])
        for name in ("published", "plain")
    }
    return same, {f"{shape.name}: {name}": way for name, way in figures.items()}, ratios, limits


def _lengths(loaded: LoadedModel, table: pa.Table) -> list[int]:
    """Sub-words of all texts, premises first in each block of examples, as they are encoded."""
    found = []
    reader = (loaded.tokenizer, loaded.special_tokens)
    for start in range(0, table.num_rows, BLOCK):
        rows = table.slice(start, BLOCK).to_pydict()
        texts = [*rows["premise"], *rows["hypothesis"]]
        found += [len(e.ids) for e in encode_text(*reader, texts, shapes.LIMIT)[0]]
    return found


def _filled(lengths: list[int], budget: int) -> float:
    """Share of real sub-words in the batches of `forward`."""
    padded = 0
    for start in range(0, len(lengths), 2 * BLOCK):
        block = lengths[start : start + 2 * BLOCK]
        made = batches(block, budget, "cpu")
        padded += sum(len(batch) * max(block[index] for index in batch) for batch in made)
    return sum(lengths) / padded


def run(size: str) -> dict[str, Any]:
    """Measure; `size` is "full" or "smoke"."""
    result: dict[str, Any] = {
        "stage": "activations",
        "shape": "; ".join(
            f"{shape.name}, {shape.layers + 1} layers, {counts[0]} pairs of texts encoded apart "
            f"(plain: {counts[1]} of them, published: {counts[2]}, of evenly spaced lengths; "
            "throughput is compared)"
            for shape, *counts in PAIRS[size]
        ),
        "equal": {}, "ways": {}, "ratios": {}, "limit": {},
        "goal": "30 x published, 85 % of the matrix product",
    }  # fmt: skip
    for shape, *counts in PAIRS[size]:
        parts = measure_shape(shape, tuple(counts), size)
        for name, found in zip(("equal", "ways", "ratios", "limit"), parts, strict=True):
            result[name] |= found
    result["reached"] = all(
        result["ratios"][f"{shape.name}: layerscope / published"]["median"] >= 30
        and result["limit"][f"{shape.name}: layerscope"]["median"] >= 0.85
        for shape, *_ in PAIRS[size]
    )
    result["notes"] = (
        "float32; texts are as long as JNLPBA's sentences and SciFact's claims, 1.4 sub-words a "
        f"word, at most {shapes.LIMIT}; batch_tokens is the default {Activations().batch_tokens}; "
        "the time of layerscope and plain has sub-words, pooling and writing in it"
    )
    return result


if __name__ == "__main__":
    stage.main(run)
