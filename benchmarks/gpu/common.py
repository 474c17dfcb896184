"""What the parts of the GPU benchmark share: command line, models, the matrix product, rows."""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapes
import torch
from measure import spread
from transformers import (
    AutoModel,
    BioGptConfig,
    LlamaConfig,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from layerscope.models.load import fuse_activations
from layerscope.models.loaded import LoadedModel
from layerscope.models.parts import blocks

#: What the maker of the H100 and H200 (SXM) states for bfloat16 without sparsity.
STATED_PEAK = 989e12

Row = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """Where a part runs and how large."""

    device: torch.device
    tiny: bool  # shapes that take seconds on a processor

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    def synchronise(self) -> None:
        """Wait until the device has done what it was given."""
        if self.cuda:
            torch.cuda.synchronize()

    def seconds(self, run: Callable[[], Any], turns: int = 3, warm_up: int = 1) -> list[float]:
        """Seconds of each turn, after turns that do not count."""
        found = []
        for turn in range(warm_up + turns):
            gc.collect()
            self.synchronise()
            begun = time.perf_counter()
            run()
            self.synchronise()
            if turn >= warm_up:
                found.append(time.perf_counter() - begun)
        return found


def row(what: str, value: Any, unit: str = "", goal: str = "", ok: bool | None = None) -> Row:
    """A line of the table: what was measured, and whether it is as it should be, if that is told.

    Args:
        what: name of the measurement.
        value: a number, text, or a list of numbers, of which median, lowest and highest are kept.
        unit: of the value.
        goal: what it is held against, in words.
        ok: whether it holds; None where nothing is required.
    """
    kept = spread(value) if isinstance(value, list) else value
    return {"what": what, "value": kept, "unit": unit, "goal": goal, "ok": ok}


def within(what: str, value: float, most: float) -> Row:
    """A difference and its tolerance; NaN is beyond any."""
    return row(what, value, "difference", f"at most {most:g}", bool(value <= most))


def product_rate(setting: Setting, dtype: torch.dtype = torch.bfloat16) -> float:
    """Operations a second of a large matrix product, the median of five turns."""
    side = 256 if setting.tiny else 8192
    a, b = (torch.randn(side, side, device=setting.device).to(dtype) for _ in range(2))
    seconds = spread(setting.seconds(lambda: torch.mm(a, b), turns=5, warm_up=3))
    return 2.0 * side**3 / seconds["median"]


# --- models ------------------------------------------------------------------------------------

TINY_VOCABULARY = 1200  # what shapes.tokenizer needs
FAMILIES = ("BERT", "GPT-2", "BioGPT", "Llama", "ModernBERT")


@dataclass(frozen=True)
class Made(LoadedModel):
    """A model with random weights, and its name."""

    name: str

    def operations(self, lengths: Iterable[int]) -> float:
        """Operations of the matrix products of a forward pass over sequences of these lengths.

        Two for each weight of the blocks and sub-word, and scores and sums of attention.
        """
        weights = sum(
            weight.numel()
            for block in blocks(self.model)
            for weight in block.parameters()
            if weight.ndim == 2
        )
        config = self.model.config
        attention = 4 * config.hidden_size * config.num_hidden_layers
        return float(sum(n * (2 * weights + n * attention) for n in lengths))


def family_config(family: str, layers: int = 3, width: int = 64, heads: int = 4) -> Any:
    """The configuration of a small model, without dropout."""
    if family in ("BERT", "GPT-2"):
        kind = "encoder" if family == "BERT" else "decoder"
        shape = shapes.Shape(family, kind, layers, width, heads, TINY_VOCABULARY, 512)
        return shape.config(dropout=0.0)
    common = {
        "vocab_size": TINY_VOCABULARY,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 2 * width,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    if family == "BioGPT":
        drops = ("hidden_dropout_prob", "attention_probs_dropout_prob", "activation_dropout")
        return BioGptConfig(**common, **dict.fromkeys(drops, 0.0), layerdrop=0.0)
    if family == "Llama":
        return LlamaConfig(**common, num_key_value_heads=heads // 2)
    common |= {"cls_token_id": 2, "sep_token_id": 3, "local_attention": 16}
    return ModernBertConfig(**common, global_attn_every_n_layers=2, reference_compile=False)


def made(name: str, config: PretrainedConfig, setting: Setting, dtype: torch.dtype) -> Made:
    """A model on its device, its weights drawn from seed 0 where it lies."""
    torch.manual_seed(0)
    with torch.device(setting.device):
        model = AutoModel.from_config(config, dtype=dtype)
    return with_inputs(name, fuse_activations(model).eval())


def with_inputs(name: str, model: PreTrainedModel) -> Made:
    """A model with the tokenizer of made-up words."""
    kind = "encoder" if model.config.model_type in ("bert", "modernbert") else "decoder"
    shape = shapes.Shape(name, kind, 1, 1, 1, model.config.vocab_size, 512)
    special_tokens = shapes.special_tokens(shape)
    if model.config.model_type == "modernbert":  # it does not tell segments apart
        special_tokens = dataclasses.replace(special_tokens, segments=False)
    return Made(model, shapes.tokenizer(shape), special_tokens, kind, name)


def large_config(name: str, setting: Setting) -> PretrainedConfig:
    """BERT-base, GPT-2-medium or Llama-3-8B; in a tiny run the same classes, small."""
    if setting.tiny:
        families = {"BERT-base": "BERT", "GPT-2-medium": "GPT-2", "Llama-3-8B": "Llama"}
        return family_config(families[name])  # type: ignore[no-any-return]
    if name == "Llama-3-8B":
        return LlamaConfig(
            vocab_size=128_256,
            hidden_size=4096,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
            intermediate_size=14_336,
            max_position_embeddings=8192,
            pad_token_id=0,
        )
    return {"BERT-base": shapes.BERT_BASE, "GPT-2-medium": shapes.GPT2_MEDIUM}[name].config()


# --- command line ------------------------------------------------------------------------------


def main(run: Callable[[Setting], dict[str, Any]], arguments: Sequence[str] | None = None) -> None:
    """Run a part and write what it found as JSON: `rows`, and figures for other programs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    gc.collect()
    gc.freeze()  # what was imported: `seconds` collects before each turn
    found = run(Setting(torch.device(chosen.device), chosen.tiny))
    chosen.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
