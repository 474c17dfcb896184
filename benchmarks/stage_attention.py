"""Attention maps of a model before and after fine-tuning, compared head by head.

- published: one sentence at a time through both models, a pass a layer; every map is taken to the
  host as numpy; the cosine of the two flat maps, a head at a time.
- published, one pass: the same, but the maps of all layers are taken from one pass.
- layerscope: `compare_attention`, all its measures (cosine and Jensen-Shannon divergence, each also
  without special tokens and against two nulls, entropy, distance) and the table it returns.
- layerscope, cosine alone: its batches and its `cosine`, without the other measures. The library
  has no switch for that, so the loop is here.
- plain: batches of 32 in the order of the data, masked maps, cosine in torch.
- limit: a matrix product, against the products of both models' passes.

    python benchmarks/stage_attention.py [--smoke] [--out FILE]
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapes
import stage
import torch
from measure import take_turns
from transformers import PreTrainedModel

from layerscope.config.extraction import Attention
from layerscope.extraction.attention import choose_examples, compare_attention, cosine
from layerscope.models.batching import collate
from layerscope.models.inputs import Encoded, SpecialTokens

BATCH = 32
TOLERANCE = 1e-6  # of a cosine
#: Sentences of all ways, and of `published`.
SIZES = {"full": (shapes.BERT_BASE, 48, 3), "smoke": (shapes.TINY_BERT, 12, 3)}
TURNS = {"full": 3, "smoke": 2}

Cosines = npt.NDArray[np.floating[Any]]  # examples x layers x heads
Examples = Sequence[tuple[str, Encoded]]


def published(
    examples: Examples, models: tuple[PreTrainedModel, PreTrainedModel], layer: int | None = None
) -> Cosines:
    """Sentence by sentence, layer by layer (or one layer alone), head by head, on the host."""
    found = []
    for _, encoded in examples:
        ids = torch.tensor([encoded.ids], device=models[0].device)
        sides = []
        for model in models:
            with torch.no_grad():
                output = model(input_ids=ids, output_attentions=True)
            kept = output.attentions if layer is None else [output.attentions[layer]]
            sides.append([maps[0].cpu().numpy() for maps in kept])
        layers = []
        for one, other in zip(*sides, strict=True):
            heads = []
            for a, b in zip(one, other, strict=True):
                a, b = a.ravel(), b.ravel()
                heads.append(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))
            layers.append(heads)
        found.append(layers)
    return np.asarray(found)


def published_by_layer(
    examples: Examples, models: tuple[PreTrainedModel, PreTrainedModel]
) -> Cosines:
    """The same with a pass a layer."""
    layers = range(models[0].config.num_hidden_layers)
    return np.concatenate([published(examples, models, layer) for layer in layers], axis=1)


def plain(
    examples: Examples,
    special_tokens: SpecialTokens,
    models: tuple[PreTrainedModel, PreTrainedModel],
) -> Cosines:
    """Batches of 32 in the order of the data."""
    found = []
    for start in range(0, len(examples), BATCH):
        batch = collate([encoded for _, encoded in examples[start : start + BATCH]], special_tokens)
        with torch.no_grad():
            sides = [model(**batch, output_attentions=True).attentions for model in models]
        rows = batch["attention_mask"][:, None, :, None]
        layers = [
            torch.cosine_similarity((a * rows).flatten(2), (b * rows).flatten(2), dim=2)
            for a, b in zip(*sides, strict=True)
        ]
        found.append(torch.stack(layers, dim=1).numpy())
    return np.concatenate(found)


def cosine_alone(
    examples: Examples,
    special_tokens: SpecialTokens,
    models: tuple[PreTrainedModel, PreTrainedModel],
    batch_examples: int,
) -> Cosines:
    """The library's batches and its cosine."""
    found = []
    for start in range(0, len(examples), batch_examples):
        batch = collate(
            [encoded for _, encoded in examples[start : start + batch_examples]], special_tokens
        )
        with torch.inference_mode():
            sides = [model(**batch, output_attentions=True).attentions for model in models]
            rows = batch["attention_mask"].float()
            layers = [cosine(a, b, rows) for a, b in zip(*sides, strict=True)]
        found.append(torch.stack(layers, dim=1).numpy())
    return np.concatenate(found)


def of_columns(columns: dict[str, Any], ids: Sequence[str]) -> Cosines:
    """The cosines in what `compare_attention` returns, in the order of `ids`."""
    place = {example: row for row, example in enumerate(ids)}
    chosen = columns["measure"] == "cosine"
    layer, head = columns["layer"][chosen] - 1, columns["head"][chosen]
    rows = np.asarray([place[example] for example in columns["example_id"][chosen]])
    found = np.full((len(ids), layer.max() + 1, head.max() + 1), np.nan)
    found[rows, layer, head] = columns["value"][chosen]
    return found


def tuned(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose weights have moved a little, as after fine-tuning."""
    torch.manual_seed(1)
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for weights in moved.parameters():
            weights += 0.1 * weights.std(correction=0) * torch.randn_like(weights)
    return moved


def run(size: str) -> dict[str, Any]:
    """Measure; `size` is "full" or "smoke"."""
    shape, count, part = SIZES[size]
    plain_one = shapes.loaded(shape)
    before = plain_one.model
    after = tuned(before)
    for model in (before, after):
        model.set_attn_implementation("eager")
    models = (before, after)
    settings = Attention(examples=count, max_length=shapes.LIMIT)
    changed = replace(plain_one, model=after)
    special_tokens = plain_one.special_tokens
    table = shapes.tagged(count)
    sorted_ones = choose_examples(changed, table, "ner", settings)
    by_id = dict(sorted_ones)
    in_order = [(name, by_id[name]) for name in table["example_id"].to_pylist() if name in by_id]

    def ours() -> dict[str, Any]:
        return compare_attention(sorted_ones, changed, before, None, settings.batch_examples)

    step = len(sorted_ones) / part
    few = [sorted_ones[int(step * (at + 0.5))] for at in range(part)]
    multiply, operations = stage.product(size)
    ways: dict[str, Callable[[], Any]] = {
        "layerscope": ours,
        "layerscope, cosine alone": lambda: cosine_alone(
            sorted_ones, special_tokens, models, settings.batch_examples
        ),
        "published": lambda: published_by_layer(few, models),
        "published, one pass": lambda: published(in_order, models),
        "plain": lambda: plain(in_order, special_tokens, models),
        "product": multiply,
    }
    expected = published(in_order, models)
    names = [name for name, _ in in_order]
    alone = np.empty_like(expected)
    alone[[names.index(name) for name, _ in sorted_ones]] = ways["layerscope, cosine alone"]()
    same = {
        **stage.equal("layerscope, published", of_columns(ours(), names), expected, TOLERANCE),
        **stage.equal("cosine alone, published", alone, expected, TOLERANCE),
        **stage.equal(
            "published, a pass a layer or one",
            ways["published"](),
            published(few, models),
            TOLERANCE,
        ),
        **stage.equal("plain, published", ways["plain"](), expected, TOLERANCE),
    }
    seconds = take_turns(ways, TURNS[size], warm_up=False)
    multiplied = seconds.pop("product")
    done = dict.fromkeys(seconds, in_order) | {"published": few}
    figures = {
        name: stage.way(len(done[name]), each, "sentences/s") for name, each in seconds.items()
    }
    ratios = {
        f"{name} / {other}": stage.faster(figures[name], figures[other])
        for name in ("layerscope", "layerscope, cosine alone")
        for other in ("published", "published, one pass", "plain")
    }
    needed = {
        name: 2 * shape.flops(len(encoded.ids) for _, encoded in each)
        for name, each in done.items()
    }
    return {
        "stage": "attention",
        "shape": f"{shape.name}, two models, {len(names)} sentences, {shape.layers} layers, "
        f"{shape.heads} heads (published: {part} sentences; throughput is compared)",
        "equal": same,
        "ways": figures
        | {"matrix product": stage.way(operations / 1e9, multiplied, "GFLOP/s")},
        "ratios": ratios,
        "limit": {
            name: stage.share(needed[name], each, operations, multiplied)
            for name, each in seconds.items()
        },
        "goal": "4 x published",
        "reached": ratios["layerscope / published"]["median"] >= 4,
        "notes": "layerscope computes twelve measures of every example, layer and head, published, "
        "plain and cosine alone one; the second model is the first with noise on its weights",
    }  # fmt: skip


if __name__ == "__main__":
    stage.main(run)
