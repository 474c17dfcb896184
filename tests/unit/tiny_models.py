"""Tiny models of three architectures, saved as folders in the way that real ones are."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BioGptConfig,
    BioGptForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from layerscope.core.formats import SCHEMAS
from layerscope.models.inputs import read_special_tokens
from layerscope.models.load import load_model
from layerscope.models.loaded import LoadedModel
from layerscope.models.tokenizers import load_tokenizer
from layerscope.training.pretraining import train_tokenizer

TEXTS = [
    "the patient has a fever and a dry cough",
    "a rash of the skin and of the hand was seen",
    "abnormal shape of the heart , with a murmur",
    "seizures begin in the first year of life",
    "the level of IL-2 in serum is low ( < 5 )",
    "no weakness of the muscles , no pain",
    "yes no maybe aspirin kinase protein gene binds",
]
POSITIONS = 64


@dataclass(frozen=True)
class Tiny(LoadedModel):
    """A loaded model and the folder that it lies in."""

    folder: Path


def wordpiece(
    specials: dict[str, str], template: str, pair: str, **options: Any
) -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer of BERT's kind with a frame of one's choice."""
    names = sorted(set(specials.values()))
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = {
        word
        for text in TEXTS
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    }
    letters = sorted({letter for word in words for letter in word})
    # Not trained: of equally frequent pairs, the trainer takes any, and tests would learn or not.
    pieces = dict.fromkeys([*names, *letters, *(f"##{each}" for each in letters), *sorted(words)])
    tokenizer = Tokenizer(
        models.WordPiece(
            {piece: number for number, piece in enumerate(pieces)}, unk_token=specials["unk_token"]
        )
    )
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.add_special_tokens(names)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template,
        pair=pair,
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in names],
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials, **options)


def save_encoder(folder: Path, *, head: bool = False, seed: int = 42) -> Path:
    """BERT with two layers of width 32; with its masked-language head or with its pooler."""
    specials = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    tokenizer = wordpiece(
        specials | {"mask_token": "[MASK]"},
        "[CLS] $A [SEP]",
        "[CLS] $A [SEP] $B:1 [SEP]:1",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,
    )
    return _save(folder, tokenizer, (BertForMaskedLM if head else BertModel), config, seed)


def save_decoder(folder: Path, *, seed: int = 42) -> Path:
    """GPT-2 with two layers of width 32 and a byte-level BPE tokenizer."""
    tokenizer = train_tokenizer(TEXTS, 320)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=POSITIONS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,
    )
    return _save(folder, tokenizer, GPT2LMHeadModel, config, seed)


def save_biogpt(folder: Path, *, seed: int = 42) -> Path:
    """BioGPT's class, and a tokenizer that frames a text as BioGPT's does: `</s>` before it."""
    tokenizer = wordpiece(
        {
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
        },
        "</s> $A",
        "</s> $A </s> $B",
    )
    config = BioGptConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.2,
    )
    return _save(folder, tokenizer, BioGptForCausalLM, config, seed)


def _save(
    folder: Path, tokenizer: PreTrainedTokenizerBase, model: Any, config: Any, seed: int
) -> Path:
    torch.manual_seed(seed)
    model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def read(folder: Path, architecture: str) -> Tiny:
    """A saved model, read as the programs read it."""
    tokenizer = load_tokenizer(folder)
    special_tokens = read_special_tokens(tokenizer, architecture)
    return Tiny(load_model(folder, tokenizer), tokenizer, special_tokens, architecture, folder)


def nli_table(rows: Sequence[tuple[str, str, str]]) -> pa.Table:
    """A prepared table of (premise, hypothesis, label)."""
    columns = {
        "example_id": [f"p{index}" for index in range(len(rows))],
        "group_id": [f"g{index // 2}" for index in range(len(rows))],
        "premise": [row[0] for row in rows],
        "hypothesis": [row[1] for row in rows],
        "label": [row[2] for row in rows],
    }
    return pa.table(columns, schema=pa.schema(list(SCHEMAS["nli"].items())))


def text_table(rows: Sequence[tuple[str, str]]) -> pa.Table:
    """A prepared table of (text, label)."""
    columns = {
        "example_id": [f"t{index}" for index in range(len(rows))],
        "group_id": [f"g{index // 2}" for index in range(len(rows))],
        "text": [row[0] for row in rows],
        "label": [row[1] for row in rows],
    }
    return pa.table(columns, schema=pa.schema(list(SCHEMAS["classification"].items())))


def ner_table(rows: Sequence[tuple[list[str], list[str]]]) -> pa.Table:
    """A prepared table of (tokens, tags)."""
    columns = {
        "example_id": [f"s{index}" for index in range(len(rows))],
        "group_id": [f"g{index // 2}" for index in range(len(rows))],
        "tokens": [row[0] for row in rows],
        "tags": [row[1] for row in rows],
    }
    return pa.table(columns, schema=pa.schema(list(SCHEMAS["ner"].items())))


def everything(_: list[int], batch: dict[str, torch.Tensor], output: Any) -> tuple[Any, Any]:
    """What `forward` is to read of a pass: its tensors and all of its output."""
    return batch, output


def copied(tiny: Tiny, folder: Path) -> Path:
    return Path(shutil.copytree(tiny.folder, folder / "model"))
