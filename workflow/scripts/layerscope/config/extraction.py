"""Settings of activations and of attention."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from layerscope.config.base import Count, Section
from layerscope.config.training import MaxLength, Precision

View = Literal["separate", "joint", "word", "separate-last", "joint-last", "word-last"]
Keep = Literal["all", "before-and-after", "none"]


class Activations(Section):
    """What is stored for every layer."""

    dtype: Literal["float16", "float32"] = Field(
        default="float16",
        description="type of the stored vectors; a value outside float16 is an error",
    )
    batch_tokens: Count = Field(
        default=4096,
        description="sub-words in a forward pass, with padding; without a GPU at most 1024",
    )
    max_length: MaxLength = Field(default=128, description="sub-word limit of a window")
    precision: Precision = Field(
        default="float32",
        description="of the forward pass; auto: bfloat16 if the device supports it",
    )
    keep: Keep = Field(
        default="all",
        description="variants whose activations are kept once all probes have read them; "
        "before-and-after: the pre-trained one and those of the largest training fraction",
    )


class Attention(Section):
    """How attention maps are compared."""

    examples: Count = Field(description="test examples whose maps are compared")
    batch_examples: Count = Field(default=8, description="examples in a forward pass")
    max_length: MaxLength = Field(
        default=128,
        description="sub-word limit; longer examples are used, cut, where too few are shorter",
    )
