"""A model in a GGUF file turned into configuration, safetensors and tokenizer files."""

from __future__ import annotations

import json
import logging
from math import prod
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedModel,
)
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
from transformers.integrations.gguf.reader import GgufHeader, read_gguf_metadata

from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object
from layerscope.models.checks import loading

log = logging.getLogger(__name__)

#: How a file with byte-level tokens says that texts are split as GPT-2's, or with digits apart.
_AS_GPT2, _DIGITS_APART = (None, "gpt-2"), ("smollm", "starcoder")


def convert_gguf(path: Path, out: Path) -> None:
    """Write what a GGUF file holds as a model folder of transformers.

    Quantised blocks are expanded to float32, in which they are computed, so nothing is rounded
    again. What the quantisation had lost stays lost.

    Args:
        path: the file.
        out: an empty folder.

    Raises:
        UserError: transformers reads no whole model from the file.
    """
    reading: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
    with loading(path, "model"):
        config = AutoConfig.from_pretrained(path.parent, **reading)
        causal = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
        auto: Any = AutoModelForCausalLM if causal else AutoModel
        model, report = auto.from_pretrained(
            path.parent,
            **reading,
            config=config,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
        if report["missing_keys"]:
            raise UserError(f"{path}: lacks {min(report['missing_keys'])}; allowed: all weights")
        _require_all_weights(path, model)
    with loading(path, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **reading)
        _split_as_stated(path, tokenizer)
    model.save_pretrained(out, max_shard_size="1000GB")
    tokenizer.save_pretrained(out)
    _drop_tokens_from(model.get_input_embeddings().weight.shape[0], out / "tokenizer.json")


def _require_all_weights(path: Path, model: PreTrainedModel) -> None:
    """Stop where a file holds more than transformers has a place for: it drops the rest.

    Raises:
        UserError: it does, as with the scaled rotations of Llama 3.1.
    """
    held = {tensor.name: prod(tensor.shape) for tensor in GgufHeader.from_file(str(path)).tensors}
    found = sum(parameter.numel() for parameter in model.parameters())
    if sum(held.values()) != found:
        rotations = ", ".join(name for name in held if name.startswith("rope_"))
        raise UserError(
            f"{path}: holds {sum(held.values()):,} weights, of which transformers reads {found:,}"
            f"{f' (without {rotations})' if rotations else ''}; allowed: a file of a model that it "
            "reads whole"
        )


def _drop_tokens_from(size: int, path: Path) -> None:
    """Take tokens out of a tokenizer that a model of so many has no embedding for.

    GPT-2's class, which transformers reads byte-level vocabularies with, adds its end-of-text token
    to those that have none of this name.
    """
    content = read_json_object(path)
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] < size]
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _split_as_stated(path: Path, tokenizer: Any) -> None:
    """Have texts split as the file says; where that is not known it is as GPT-2's, and logged."""
    stated, _ = read_gguf_metadata(str(path))
    split = stated.get("tokenizer.ggml.pre")
    if stated.get("tokenizer.ggml.model") != "gpt2" or split in GGUF_PRE_TOKENIZER_SPLITS:
        return
    if split in _DIGITS_APART:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
        )
    elif split not in _AS_GPT2:
        log.warning("%s: texts are split as by GPT-2, since %r is not known", path, split)
