"""A tiny model with random weights of every family that docs/models.md names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tiny_models import TEXTS, wordpiece
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedTokenizerBase

from layerscope.models.families import classifier_class, is_ours
from layerscope.training.pretraining import train_tokenizer

WIDTH, HEADS, LAYERS = 32, 4, 2
SHAPE: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
_SHARED_KEYS: dict[str, Any] = {"num_key_value_heads": 2, "head_dim": 8}
KINDS = ("nli", "ner")
_NO_ATTENTION = ("attention", "masked heads")
_NO_HEADS = (*_NO_ATTENTION, "head importance")


@dataclass(frozen=True)
class Family:
    """How a tiny model of a family is made, and what it cannot give."""

    model_type: str
    architecture: str
    options: dict[str, Any]
    frame: str = "encoder"  # how an encoder's tokenizer frames a text
    missing: tuple[str, ...] = ()  # analyses that are not applicable


def _encoder(model_type: str, missing: tuple[str, ...] = (), **options: Any) -> Family:
    return Family(model_type, "encoder", {**SHAPE, **options}, missing=missing)


def _decoder(model_type: str, missing: tuple[str, ...] = (), **options: Any) -> Family:
    return Family(model_type, "decoder", {**SHAPE, **options}, missing=missing)


ROBERTA = {"pad_token_id": 1, "max_position_embeddings": 66}
FAMILIES: dict[str, Family] = {
    "BERT": _encoder("bert"),
    "RoBERTa": _encoder("roberta", **ROBERTA),
    "XLM-R": _encoder("xlm-roberta", **ROBERTA),
    "DistilBERT": Family(
        "distilbert", "encoder",
        {"dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": 64,
         "max_position_embeddings": 64},
    ),
    "ELECTRA": _encoder("electra", embedding_size=16),
    "ModernBERT": _encoder("modernbert", local_attention=8, global_attn_every_n_layers=2),
    "ALBERT": _encoder("albert", ("one layer patched",), embedding_size=16),
    "DeBERTa-v2": _encoder(
        "deberta-v2", relative_attention=True, pos_att_type=["c2p", "p2c"], conv_kernel_size=3,
        position_buckets=16,
    ),
    "MPNet": _encoder("mpnet", **ROBERTA),
    "BigBird": _encoder(
        "big_bird", attention_type="block_sparse", block_size=4, num_random_blocks=1
    ),
    "Longformer": _encoder("longformer", attention_window=[8, 8], **ROBERTA),
    "ConvBERT": _encoder("convbert", head_ratio=2, embedding_size=WIDTH),
    "XLNet": Family(
        "xlnet", "encoder",
        {"d_model": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "d_inner": 64}, "last",
    ),
    "T5": Family(
        "t5", "encoder",
        {"d_model": WIDTH, "d_kv": 8, "d_ff": 64, "num_layers": LAYERS, "num_heads": HEADS},
        "after",
    ),
    "BART": Family(
        "bart", "encoder",
        {"d_model": WIDTH, "encoder_layers": LAYERS, "decoder_layers": 1,
         "encoder_attention_heads": HEADS, "decoder_attention_heads": 2, "encoder_ffn_dim": 64,
         "decoder_ffn_dim": 64, "max_position_embeddings": 64},
    ),
    "LongT5": Family(
        "longt5", "encoder",
        {"d_model": WIDTH, "d_kv": 8, "d_ff": 64, "num_layers": LAYERS, "num_heads": HEADS,
         "local_radius": 4},
        "after", missing=_NO_HEADS,
    ),
    "SqueezeBERT": _encoder(
        "squeezebert",
        (*_NO_HEADS, "erased label", "patching", "head lens"),
        embedding_size=WIDTH,
        q_groups=2, k_groups=2, v_groups=2, intermediate_groups=2, output_groups=2,
    ),
    "GPT-2": Family(
        "gpt2", "decoder",
        {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 64},
    ),
    "BioGPT": _decoder("biogpt"),
    "Llama": _decoder("llama", **_SHARED_KEYS),
    "Mistral": _decoder("mistral", sliding_window=16, **_SHARED_KEYS),
    "Qwen2": _decoder("qwen2", num_key_value_heads=2),
    "Qwen3": _decoder("qwen3", **_SHARED_KEYS),
    "Gemma 2": _decoder("gemma2", sliding_window=16, **_SHARED_KEYS),
    "Gemma 3": _decoder("gemma3_text", sliding_window=16, **_SHARED_KEYS),
    "Phi": _decoder("phi"),
    "Phi-3": _decoder("phi3", num_key_value_heads=2),
    "OLMo 2": _decoder("olmo2"),
    "SmolLM3": _decoder("smollm3", num_key_value_heads=2),
    "GPT-NeoX": _decoder("gpt_neox"),
    "GPT-Neo": _decoder(
        "gpt_neo", num_layers=LAYERS, num_heads=HEADS, attention_types=[[["global", "local"], 1]],
        window_size=16,
    ),
    "OPT": _decoder("opt", ffn_dim=64, word_embed_proj_dim=WIDTH),
    "BLOOM": Family(
        "bloom", "decoder", {"hidden_size": WIDTH, "n_layer": LAYERS, "n_head": HEADS}
    ),
    "Falcon": _decoder("falcon"),
    "Falcon, ALiBi": _decoder("falcon", _NO_ATTENTION, alibi=True),
    "gpt-oss": _decoder(
        "gpt_oss", num_local_experts=2, num_experts_per_tok=1, sliding_window=16, **_SHARED_KEYS
    ),
    "Mamba": Family(
        "mamba", "decoder",
        {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "state_size": 4},
        missing=_NO_HEADS,
    ),
    "Jamba": _decoder(
        "jamba", _NO_HEADS, attn_layer_period=2, attn_layer_offset=1, num_experts=2,
        num_experts_per_tok=1, num_key_value_heads=2, mamba_d_state=4,
    ),
    "LFM2": _decoder(
        "lfm2", _NO_HEADS, layer_types=["conv", "full_attention"], num_key_value_heads=2,
        block_auto_adjust_ff_dim=False,
    ),
    "Qwen3-Next": _decoder(
        "qwen3_next", _NO_HEADS, layer_types=["linear_attention", "full_attention"],
        linear_key_head_dim=8, linear_value_head_dim=8, linear_num_key_heads=2,
        linear_num_value_heads=4, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=32,
        shared_expert_intermediate_size=32, **_SHARED_KEYS,
    ),
    "Falcon-H1": _decoder(
        "falcon_h1", num_key_value_heads=2, mamba_d_ssm=64, mamba_d_state=4, mamba_n_heads=8,
        mamba_chunk_size=16,
    ),
}  # fmt: skip


def tokenizer_of(family: Family) -> PreTrainedTokenizerBase:
    """A tokenizer that frames texts as the family's does."""
    if family.architecture == "decoder":
        return train_tokenizer(TEXTS, 300)
    specials = {
        "pad_token": "[UNUSED]",  # so that padding has id 1 below
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    frames = {
        "encoder": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
        "last": ("$A [SEP] [CLS]", "$A [SEP] $B:1 [SEP]:1 [CLS]:1"),
        "after": ("$A [SEP]", "$A [SEP] $B:1 [SEP]:1"),
    }
    if family.frame == "after":
        del specials["cls_token"]
    tokenizer = wordpiece(specials, *frames[family.frame])
    assert tokenizer.pad_token_id is not None
    return tokenizer


def config_of(name: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    """Of a tiny model of a family."""
    family = FAMILIES[name]
    options = {
        "vocab_size": len(tokenizer),
        "initializer_range": 0.2,
        **family.options,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if "max_position_embeddings" in options and options.get("max_position_embeddings") == 66:
        options["max_position_embeddings"] = 64 + tokenizer.pad_token_id + 1
    return AutoConfig.for_model(family.model_type, **options)


def save_family(name: str, folder: Path, seed: int = 42) -> Path:
    """A tiny model of a family, saved as transformers saves it, with its tokenizer."""
    tokenizer = tokenizer_of(FAMILIES[name])
    torch.manual_seed(seed)
    AutoModel.from_config(config_of(name, tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def table() -> str:
    """The table of docs/models.md."""
    lines = [
        "| family | model type | studied as | head: NLI | head: NER | not applicable |",
        "|---|---|---|---|---|---|",
    ]
    for name, family in FAMILIES.items():
        config = AutoConfig.for_model(family.model_type)
        heads = ("ours" if is_ours(classifier_class(config, k)) else "its own" for k in KINDS)
        missing = ", ".join(family.missing) or "–"
        cells = (name, f"`{family.model_type}`", family.architecture, *heads, missing)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def without_weights(projection: Any, head: int, heads: int) -> None:
    """Set the weights to 0 that a projection has for the outputs of a head."""
    if hasattr(projection, "post_attention"):  # XLNet: width x heads x width of a head
        projection.o[:, head] = 0
        return
    projection.weight = torch.nn.Parameter(projection.weight.clone())  # ALBERT's layers share it
    weight = projection.weight  # outputs x inputs; of GPT-2's Conv1D inputs x outputs
    weight = weight if isinstance(projection, torch.nn.Linear) else weight.T
    each = WIDTH // HEADS
    assert heads * each <= weight.shape[1]
    weight[:, head * each : (head + 1) * each] = 0


if __name__ == "__main__":
    print(table())
