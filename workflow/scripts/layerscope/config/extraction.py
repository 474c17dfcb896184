"""Settings of activations and of attention."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from layerscope.config.base import Count, Section
from layerscope.config.training import MaxLength, Precision

View = Literal["separate", "joint", "word"]


class Activations(Section):
    """What is stored of every layer."""

    max_train_pairs: Count | None = Field(
        description="NLI training examples a probe sees; null for all"
    )
    max_train_words: Count | None = Field(description="NER training words a probe sees; null: all")
    dtype: Literal["float16", "float32"] = Field(
        default="float16",
        description="type of the stored vectors; a value past float16 is an error",
    )
    batch_tokens: Count = Field(
        default=4096, description="sub-words in a forward pass, padding included"
    )
    max_length: MaxLength = Field(default=128, description="sub-word limit of a window")


class Attention(Section):
    """How attention maps are compared."""

    examples: Count = Field(description="test examples whose maps are compared")
    batch_examples: Count = Field(default=8, description="examples in a forward pass")
    max_length: MaxLength = Field(
        default=128, description="sub-word limit; longer examples are passed over"
    )
