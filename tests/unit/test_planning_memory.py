"""Memory of large models by part: against arithmetic by hand, and what autograd keeps."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from planned_jobs import PAPER, Config, paper
from transformers import (
    BertConfig,
    BertForTokenClassification,
    LlamaConfig,
    LlamaForTokenClassification,
)

from layerscope.config import jobs
from layerscope.config.load import read_yaml
from layerscope.config.schema import Study
from layerscope.config.weights import Lora
from layerscope.models.adapters import add_adapter
from layerscope.resources.computing import Needs
from layerscope.resources.estimate import estimate, in_words
from layerscope.resources.memory import of_training
from layerscope.resources.needs import needs
from layerscope.resources.sizes import Sizes, read_sizes, size_of_config


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing has been fetched or prepared here."""
    monkeypatch.chdir(tmp_path)


#: As on the hub.
LLAMA_3_8B: Config = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
}  # fmt: skip


JOB = {"task": "jnlpba", "model": "llama", "variant": "f100-s1", "percent": "100", "seed": "1"}


def study_of_8b(**weights: Any) -> tuple[Study, Sizes]:
    """A study of one model with the shape of Llama 3 8B."""
    bert = read_yaml(PAPER)["models"]["bert"] | {"architecture": "decoder"}
    study, size = paper(models={"llama": bert | weights}), size_of_config(LLAMA_3_8B)
    assert size is not None
    return study, replace(read_sizes(study), models={"llama": size})


def of_8b(rule: str, **weights: Any) -> Needs:
    """What a job of it needs."""
    return needs(*study_of_8b(**weights), rule, JOB)


def test_the_estimate_counts_the_hours_of_all_gpus_and_shows_the_memory_of_each() -> None:
    rows = []
    for gpus in (1, 2):
        study, sizes = study_of_8b(dtype="bfloat16", adapter={"kind": "lora"}, gpus=gpus)
        found = estimate(study, sizes, [("finetune", JOB)])
        rows.append((found.lines["finetune"].gpu_hours, in_words(study, found)))
    (hours, one), (twice, two) = rows
    assert twice == 2 * hours
    assert re.search(r"^finetune +GPU +15\.2 GB ", one, re.MULTILINE)
    assert re.search(r"^finetune +each of 2 GPUs +7\.6 GB ", two, re.MULTILINE)


def test_a_decoder_of_8b_with_an_adapter_fits_a_gpu_of_80_gb() -> None:
    """By hand, in MB. The whole model in float32 does not fit, whatever its batch."""
    weights = {"dtype": "bfloat16", "adapter": {"kind": "lora", "rank": 16}}
    body = 32 * (2 * 4096 * (4096 + 1024) + 3 * 4096 * 14336)
    embeddings, adapter = 128256 * 4096, 16 * 32 * (4 * 4096 + 2 * 5120 + 3 * 18432)
    assert (body, adapter) == (6_979_321_856, 41_943_040)
    tuned = of_8b("finetune", **weights)
    assert tuned.gpu == 1
    assert tuned.device is not None
    assert tuned.device.weights == (2 * (body + embeddings) + 4 * adapter) / 1e6
    assert tuned.device.gradients == 4 * adapter / 1e6 == tuned.other_mb
    assert tuned.device.optimiser == 8 * adapter / 1e6
    kept = 2 * (2 * 4096 + 4096 + 2 * 1024 + 4096 + 3 * 14336) + 3 * (6 * 4096 + 14336)
    assert tuned.device.activations == 32 * 32 * 128 * kept / 1e6
    for rule in ("finetune", "extract_finetuned", "intervene", "patch"):
        found = of_8b(rule, **weights)
        assert found.device is not None
        assert 15_000 < found.device.total < 80_000, rule
        assert found.mem_mb < 80_000, rule
    compared = of_8b("extract_finetuned", **weights).device
    assert compared is not None  # a second seed's adapter, and the one base
    assert compared.weights == tuned.device.weights + 4 * adapter / 1e6
    shared = of_8b("finetune", **weights, gpus=2)
    assert (shared.gpu, shared.seconds, shared.mem_mb) == (2, tuned.seconds, tuned.mem_mb)
    assert shared.device == tuned.device.on_each(2)
    assert shared.device.total == tuned.device.total / 2
    several = of_8b("extract_finetuned", **weights, gpus=4).device
    assert several is not None
    assert several == replace(compared, weights=compared.weights / 4)
    quantised = of_8b("finetune", **weights, quantisation="4bit")
    assert quantised.mem_mb == tuned.mem_mb  # they are read whole
    small = quantised.device
    assert small is not None
    assert small.weights == (0.516 * body + 2 * embeddings + 4 * adapter) / 1e6
    whole = of_8b("finetune").device
    assert whole is not None
    assert whole.total - whole.activations > 80_000
    recomputed = of_8b("finetune", **weights, finetuning={"ner": {"gradient_checkpointing": True}})
    assert recomputed.device is not None
    assert recomputed.device.activations < 0.1 * tuned.device.activations
    assert recomputed.seconds > tuned.seconds


def kept_for_the_way_back(model: torch.nn.Module, tokens: tuple[int, int]) -> int:
    """Bytes of tensors that a forward pass of so many sequences and sub-words saves."""
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in weights:
            saved[place] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.randint(1, 50, tokens))
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


@pytest.mark.parametrize("with_adapter", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_activations_are_those_that_a_pass_saves(grouped: bool, with_adapter: bool) -> None:
    """Without dropout, whose masks a processor stores otherwise than a GPU."""
    shape = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}
    if grouped:
        more = {"intermediate_size": 448, "num_key_value_heads": 2, "vocab_size": 50}
        model: Any = LlamaForTokenClassification(LlamaConfig(**shape, **more, pad_token_id=0))
    else:
        off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "vocab_size": 50}
        model = BertForTokenClassification(BertConfig(**shape, **off, intermediate_size=512))
    size = size_of_config(json.loads(model.config.to_json_string()))
    assert size is not None
    adapter = Lora(kind="lora", rank=4, dropout=0) if with_adapter else None
    dtype = "bfloat16" if with_adapter else "float32"
    trained = add_adapter(model.bfloat16(), adapter) if adapter else model
    settings = jobs.finetuning(paper(), "jnlpba", "bert")
    found = of_training(size, settings, 8 * 64, adapter=adapter, dtype=dtype).activations * 1e6
    assert found == pytest.approx(kept_for_the_way_back(trained.train(), (8, 64)), rel=0.2)
