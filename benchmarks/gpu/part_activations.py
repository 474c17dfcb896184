"""Activations of all layers: what a second gives, and what it is spent on.

- layerscope: `write_activations`, all of it, from texts to a Parquet file.
- published: one text at a time, a pass a layer. plain: batches of 32 in the order of the data.
- its parts: making batches, the passes, with pooling on the device, with the copy to the host, all.

BERT-base and GPT-2 medium have float32 weights and compute in bfloat16 as `precision: auto` does;
the shape of Llama-3-8B has bfloat16 weights. The ways are held against a bfloat16 matrix product.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import common
import shapes
import stage_activations
import torch
from common import Made, Row, Setting, row
from measure import spread

from layerscope.config.extraction import Activations
from layerscope.extraction.activations import BLOCK, write_activations
from layerscope.models.batching import collate
from layerscope.models.forward import batches, forward
from layerscope.models.inputs import encode_text
from layerscope.models.memory import free_memory
from layerscope.models.pooling import sequence_means

#: Model, type of its weights, pairs for layerscope, for plain and for published.
MODELS = (
    ("BERT-base", torch.float32, 2048, 512, 8),
    ("GPT-2-medium", torch.float32, 1024, 256, 3),
    ("Llama-3-8B", torch.bfloat16, 512, 128, 1),
)
TINY = (40, 16, 2)
BATCH_TOKENS = 32_768
GOAL = "30 x published"


def blocks_of(made: Made, table: Any) -> list[list[Any]]:
    """Sequences as `write_activations` takes them, a block of pairs at a time."""
    blocks = []
    for start in range(0, table.num_rows, BLOCK):
        rows = table.slice(start, BLOCK).to_pydict()
        both = [*rows["premise"], *rows["hypothesis"]]
        blocks.append(encode_text(made.tokenizer, made.frame, both, shapes.LIMIT)[0])
    return blocks


def parts(
    made: Made, blocks: list[list[Any]], settings: Activations, setting: Setting
) -> dict[str, float]:
    """Median seconds of making batches, of passes, of passes and pooling, and with the copy."""

    def batching() -> None:
        for sequences in blocks:
            lengths = [len(each.ids) for each in sequences]
            for indices in batches(lengths, settings.batch_tokens, setting.device.type):
                collate([sequences[index] for index in indices], made.frame, setting.device)

    def passes(read: Any) -> float:
        def run() -> None:
            options = (settings.batch_tokens, settings.precision, read)
            for sequences in blocks:
                for _ in forward(
                    made.model, sequences, made.frame, *options, output_hidden_states=True
                ):
                    pass

        # Nothing is warmed up: `write_activations` has run the same passes.
        return spread(setting.seconds(run, turns=2, warm_up=0))["median"]

    def pooled(_: Any, batch: Any, output: Any) -> torch.Tensor:
        return sequence_means(output.hidden_states, batch["attention_mask"])

    return {
        "making batches": spread(setting.seconds(batching, turns=2, warm_up=0))["median"],
        "passes": passes(lambda *_: None),
        "pooling": passes(pooled),
        "copy to the host": passes(lambda *given: pooled(*given).cpu()),
    }


def measure(
    name: str, dtype: torch.dtype, counts: tuple[int, ...], setting: Setting, peak: float
) -> tuple[list[Row], dict[str, float]]:
    """Rows of one model, and its rates."""
    made = common.made(name, common.large_config(name, setting), setting, dtype)
    table = shapes.pairs(counts[0])
    some, few = (shapes.spread_out(table, count) for count in counts[1:])
    precision = "float32" if dtype is torch.bfloat16 else "bfloat16"
    settings = Activations(batch_tokens=BATCH_TOKENS, precision=precision)  # type: ignore[arg-type]

    def lengths(rows: Any) -> list[int]:
        return [len(each.ids) for block in blocks_of(made, rows) for each in block]

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)

        def ours() -> None:
            paths: Any = {"separate": folder / "ours.parquet"}
            write_activations(made.model, made.tokenizer, made.frame, table, paths, settings, {})

        def plain() -> None:
            with torch.autocast(setting.device.type, torch.bfloat16, enabled=setting.cuda):
                stage_activations.plain(made.model, made.tokenizer, some, folder / "p.parquet")

        ours_seconds = setting.seconds(ours, turns=2)
        plain_seconds = setting.seconds(plain, turns=1)
        published_seconds = setting.seconds(
            lambda: stage_activations.published(made.model, made.tokenizer, few, folder), turns=1
        )
    spent = parts(made, blocks_of(made, table), settings, setting) | {
        "sub-words and Parquet": spread(ours_seconds)["median"]
    }
    total = sum(lengths(table))
    rate = [total / each for each in ours_seconds]
    published = sum(lengths(few)) / published_seconds[0]
    plainly = sum(lengths(some)) / plain_seconds[0]
    operations = made.operations(lengths(table))
    before, steps = 0.0, {}
    for step, seconds in spent.items():
        steps[step], before = max(seconds - before, 0.0), max(seconds, before)
    limit = max(steps, key=lambda step: steps[step])
    median = spread(rate)["median"]
    share = operations / spent["passes"] / peak
    found = [
        row(f"{name}: layerscope", rate, "sub-words/s"),
        row(f"{name}: against published", median / published, "x", GOAL, median / published >= 30),
        row(f"{name}: against plain", median / plainly, "x"),
        row(f"{name}: passes, of the matrix product", 100 * share, "%"),
        row(f"{name}: all of it, of the matrix product", 100 * operations / before / peak, "%"),
        row(f"{name}: the limit", limit, goal=", ".join(
            f"{step} {100 * seconds / before:.0f} %" for step, seconds in steps.items())),
    ]  # fmt: skip
    if setting.tiny:
        found[1]["ok"] = None  # says nothing of speed
    return found, {"inference": operations / spent["passes"]}


def smallest_batch(setting: Setting) -> float:
    """Seconds that a pass of one short sequence takes for each layer."""
    name = "BERT-base"
    made = common.made(name, common.large_config(name, setting), setting, torch.float32)
    sequences, _ = encode_text(made.tokenizer, made.frame, ["a001 a002"], shapes.LIMIT)

    def run() -> None:
        for _ in range(10):
            for _ in forward(made.model, sequences, made.frame, 64, "bfloat16", lambda *_: None):
                pass

    seconds = spread(setting.seconds(run))["median"]
    return seconds / 10 / made.model.config.num_hidden_layers


def run(setting: Setting) -> dict[str, Any]:
    """Measure each model."""
    peak = common.product_rate(setting)
    rows = [row("matrix product, bfloat16", peak / 1e12, "TFLOP/s")]
    inference = []
    for name, dtype, *counts in MODELS:
        sizes = TINY if setting.tiny else tuple(counts)
        found, rates = measure(name, dtype, sizes, setting, peak)
        rows += found
        if name != "Llama-3-8B":
            inference.append(rates["inference"])
        free_memory()
    rates = {"inference": min(inference), "batch": smallest_batch(setting)}
    rows.append(row("a pass of one short sequence, a layer", 1e3 * rates["batch"], "ms"))
    return {"rows": rows, "rates": rates}


if __name__ == "__main__":
    common.main(run)
