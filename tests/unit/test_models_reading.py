"""Which tokens heads read, of the architectures that transformers has."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_models import Tiny
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPTNeoXConfig,
    GPTNeoXForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from layerscope.models.load import load_with_head
from layerscope.models.reading import read_mask, tokens_read

SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
SHAPE |= {"vocab_size": 50, "intermediate_size": 64, "pad_token_id": 0}  # fmt: skip
SMALL = {"vocab_size": 50, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
OTHERS: dict[str, tuple[Any, Any, str]] = {
    "roberta": (RobertaForSequenceClassification, RobertaConfig(**SHAPE), "first"),
    "distilbert": (DistilBertForSequenceClassification, DistilBertConfig(**SMALL), "first"),
    "modernbert": (ModernBertForSequenceClassification,
                   ModernBertConfig(classifier_pooling="cls", **SHAPE), "first"),
    "modernbert-mean": (ModernBertForSequenceClassification,
                        ModernBertConfig(classifier_pooling="mean", **SHAPE), "all"),
    "gpt-neox": (GPTNeoXForSequenceClassification, GPTNeoXConfig(**SHAPE), "last"),
}  # fmt: skip


def found(model: PreTrainedModel) -> str:
    ids = torch.arange(2, 11)[None]
    return tokens_read(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})


def test_encoders_read_the_first_token_and_decoders_the_last(tiny: Tiny) -> None:
    model = load_with_head(tiny.folder, tiny.tokenizer, "nli", ["x", "y", "z"])
    assert found(model) == ("first" if tiny.architecture == "encoder" else "last")


@pytest.mark.parametrize("name", OTHERS)
def test_heads_of_further_architectures(name: str) -> None:
    kind, config, expected = OTHERS[name]
    config.num_labels = 3
    torch.manual_seed(0)
    assert found(kind(config).eval()) == expected


def test_padding_on_either_side_is_never_read() -> None:
    mask = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    for tokens, expected in (("first", [0, 2, 0]), ("last", [2, 4, 4])):
        places = read_mask(mask, tokens).nonzero().tolist()
        assert places == [[row, at] for row, at in enumerate(expected)]
    assert torch.equal(read_mask(mask, "all"), mask.bool())
