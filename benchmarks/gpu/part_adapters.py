"""A decoder of 8B with LoRA, its weights in bfloat16: whether a GPU of 80 GB is enough, and speed.

Peaks of memory are held against what `estimate` says. All sequences are as long as the limit.
"""

from __future__ import annotations

import json
from typing import Any

import common
import shapes
import torch
from common import Made, Row, Setting, row
from part_finetuning import BATCH, full_items, train
from transformers import AutoModelForTokenClassification

from layerscope.config.training import FineTuning
from layerscope.config.weights import Lora
from layerscope.models.adapters import add_adapter
from layerscope.resources.memory import of_training
from layerscope.resources.sizes import size_of_config

NAME = "Llama-3-8B"
ADAPTER = Lora(kind="lora", rank=16, alpha=32)
GPU_MB = 80_000
TOLERANCE = 0.25  # of the estimate: kernels keep buffers of their own


def adapted(setting: Setting) -> Made:
    """The model with its head for entities and an adapter."""
    torch.manual_seed(0)
    config = common.large_config(NAME, setting)
    config.num_labels = len(shapes.TAGS)
    with torch.device(setting.device):
        model = AutoModelForTokenClassification.from_config(config, dtype=torch.bfloat16)
        return common.with_inputs(NAME, add_adapter(model, ADAPTER))


def estimated(made: Made, batch: int, length: int) -> float:
    """MB that `estimate` says."""
    size = size_of_config(json.loads(made.model.config.to_json_string()))
    settings = FineTuning(learning_rate=1e-4, epochs=1, batch_size=batch, max_length=length)
    common_to_both = {"adapter": ADAPTER, "dtype": "bfloat16", "mixed": True}
    return of_training(size, settings, batch * length, **common_to_both).total  # type: ignore[arg-type]


def run(setting: Setting) -> dict[str, Any]:
    """Train some steps."""
    steps, length, batch = (3, 32, 4) if setting.tiny else (12, shapes.LIMIT, BATCH)
    made = adapted(setting)
    before = {name: each.clone() for name, each in trained(made).items()}
    if setting.cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds, _, _ = train(made, full_items(batch * steps, length), steps, batch)
    moved = sum(not torch.equal(before[name], each) for name, each in trained(made).items())
    rows: list[Row] = [
        row(f"{NAME}: step of {batch} x {length}", 1e3 * seconds / (steps - 1), "ms"),
        row(f"{NAME}: weights of the adapter that moved", 100 * moved / len(before), "%",
            "100 %", moved == len(before)),
    ]  # fmt: skip
    wanted = estimated(made, batch, length)
    rows.append(row(f"{NAME}: memory, by estimate", wanted, "MB"))
    if setting.cuda:
        peak = torch.cuda.max_memory_allocated() / 1e6
        told = abs(peak / wanted - 1) <= TOLERANCE
        goal = f"the estimate, to {100 * TOLERANCE:.0f} %"
        rows.append(row(f"{NAME}: memory, peak", peak, "MB", goal, setting.tiny or told))
        rows.append(row(f"{NAME}: fits 80 GB", peak / GPU_MB, "of it", "at most 1", peak <= GPU_MB))
    return {"rows": rows}


def trained(made: Made) -> dict[str, torch.Tensor]:
    """What training changes of the adapter, by name."""
    return {
        name: each.detach()
        for name, each in made.model.named_parameters()
        if each.requires_grad and "lora_" in name
    }


if __name__ == "__main__":
    common.main(run)
