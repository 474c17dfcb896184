"""Replicas of the four published models: their classes and kinds of tokenizer, random weights.

A replica's folder looks as the model's repository on the hub does: the same kinds of file with the
same kinds of key in the weights, and files beside them that nobody needs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BioGptConfig,
    BioGptForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
)
from vocabularies import byte_level, fast_bpe, wordpiece, write_json

KINDS = ("bert", "biobert", "gpt2", "biogpt")
REPOSITORIES = {
    "bert": "google-bert/bert-base-cased",
    "biobert": "dmis-lab/biobert-v1.1",
    "gpt2": "openai-community/gpt2-medium",
    "biogpt": "microsoft/biogpt",
}
#: What the hub has no safetensors of.
PICKLED = frozenset({"biobert", "biogpt"})
LICENSES = {"bert": "apache-2.0", "biobert": "apache-2.0", "gpt2": "mit", "biogpt": "mit"}
ARCHITECTURES = {"bert": "encoder", "biobert": "encoder", "gpt2": "decoder", "biogpt": "decoder"}

WIDTH, HEADS = 32, 4
SHORT: dict[str, Any] = {
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "intermediate_size": 64,
}


def make_replica(kind: str, folder: Path, *, pickled: bool = False, seed: int = 0) -> Path:
    """Write a replica of a published model.

    Args:
        kind: one of `KINDS`.
        folder: where to; made if it is not there.
        pickled: weights as `pytorch_model.bin` alone, as the hub has those of `PICKLED`; otherwise
            as `model.safetensors`.
        seed: of the weights; the same seed gives the same bytes.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights, config = _MAKERS[kind](folder)
    write_json(folder / "config.json", config)
    if pickled:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        apart = {name: tensor.clone().contiguous() for name, tensor in weights.items()}
        save_file(apart, folder / "model.safetensors", {"format": "pt"})
        (folder / "pytorch_model.bin").write_bytes(b"needless beside the safetensors file")
    _needless(kind, folder)
    return folder


def _needless(kind: str, folder: Path) -> None:
    card = (
        f"---\nlanguage: en\nlicense: {LICENSES[kind]}\n---\n\n# Replica of {REPOSITORIES[kind]}\n"
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (folder / "tf_model.h5").write_bytes(b"\x89HDF needless")
    (folder / "flax_model.msgpack").write_bytes(b"needless")
    (folder / "modeling_replica.py").write_text('raise SystemExit("remote code was run")\n')


def _random(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    # Biases and norms too, so that a weight that gets lost or misplaced shows.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return dict(model.state_dict())


# --- BERT and BioBERT ---------------------------------------------------------------------------


def _bert_config(size: int) -> BertConfig:
    return BertConfig(vocab_size=size, hidden_size=WIDTH, max_position_embeddings=512, **SHORT)


def _bert_json(size: int, architecture: str) -> dict[str, Any]:
    return {
        "architectures": [architecture],
        "attention_probs_dropout_prob": 0.1,
        "gradient_checkpointing": False,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": size,
        **SHORT,
    }


def _bert(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    size = wordpiece(folder)
    write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "model_max_length": 512})
    vocabulary = str(folder / "vocab.txt")
    tokenizer = Tokenizer(models.WordPiece.from_file(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    weights = _random(BertForMaskedLM(_bert_config(size)))
    weights |= {
        "bert.pooler.dense.weight": torch.randn(WIDTH, WIDTH),
        "bert.pooler.dense.bias": torch.randn(WIDTH),
        "cls.seq_relationship.weight": torch.randn(2, WIDTH),
        "cls.seq_relationship.bias": torch.randn(2),
    }
    # The names that TensorFlow gave to the parameters of a norm, and the head's bias once.
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in weights.items()
        if name != "cls.predictions.decoder.bias"
    }
    return renamed, _bert_json(size, "BertForMaskedLM")


def _biobert(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    size = wordpiece(folder)  # and no tokenizer.json
    write_json(folder / "tokenizer_config.json", {"do_lower_case": False})
    write_json(
        folder / "special_tokens_map.json",
        {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")},
    )
    weights = _random(BertModel(_bert_config(size)))
    # A buffer that older versions saved.
    weights["embeddings.position_ids"] = torch.arange(512).expand((1, -1)).clone()
    return weights, _bert_json(size, "BertModel")


# --- GPT-2 --------------------------------------------------------------------------------------


def _gpt2(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    size = byte_level(folder)
    write_json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    layers = 3
    shape: dict[str, Any] = {
        "n_embd": WIDTH,
        "n_head": HEADS,
        "n_layer": layers,
        "n_positions": 1024,
    }
    tokens: dict[str, Any] = {"bos_token_id": size - 1, "eos_token_id": size - 1}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=size, **shape, **tokens))
    # Names without the prefix of the class, the tied head left out, the causal mask kept.
    weights = {
        name.removeprefix("transformer."): tensor
        for name, tensor in _random(model).items()
        if name != "lm_head.weight"
    }
    for layer in range(layers):
        weights[f"h.{layer}.attn.bias"] = torch.tril(
            torch.ones(1, 1, 1024, 1024, dtype=torch.uint8)
        )
    return weights, {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 1024,
        "resid_pdrop": 0.1,
        "summary_activation": None,
        "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True,
        "summary_type": "cls_index",
        "summary_use_proj": True,
        "vocab_size": size,
        **shape,
        **tokens,
    }


# --- BioGPT -------------------------------------------------------------------------------------


def _biogpt(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    size = fast_bpe(folder)
    specials = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
    }
    write_json(folder / "special_tokens_map.json", specials)
    write_json(
        folder / "tokenizer_config.json",
        {**specials, "model_max_length": 1024, "tokenizer_class": "BioGptTokenizer"},
    )
    config: dict[str, Any] = {
        "activation_dropout": 0.0,
        "architectures": ["BioGptForCausalLM"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "layerdrop": 0.0,
        "max_position_embeddings": 1024,
        "model_type": "biogpt",
        "pad_token_id": 1,
        "scale_embedding": True,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": size,
        **SHORT,
    }
    kept = {key: value for key, value in config.items() if key not in ("model_type", "torch_dtype")}
    return _random(BioGptForCausalLM(BioGptConfig(**kept))), config


_MAKERS: dict[str, Callable[[Path], tuple[dict[str, torch.Tensor], dict[str, Any]]]] = {
    "bert": _bert,
    "biobert": _biobert,
    "gpt2": _gpt2,
    "biogpt": _biogpt,
}
