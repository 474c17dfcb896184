"""How a model's weights are loaded, and which of them are fine-tuned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from layerscope.config.base import Count, Positive, Section, Share

Dtype = Literal["float32", "bfloat16"]
Quantisation = Literal["4bit"]
ModuleName = Annotated[str, StringConstraints(min_length=1)]


class Lora(Section):
    """Low-rank matrices beside linear layers, trained in place of the model's weights (LoRA)."""

    kind: Literal["lora"] = Field(description="low-rank matrices beside linear layers")
    rank: Count = Field(default=16, description="of the matrices")
    alpha: Positive = Field(
        default=32, description="what they add is multiplied by alpha over the rank"
    )
    dropout: Share = Field(default=0.05, description="of their inputs, while training")
    targets: Literal["all-linear"] | Annotated[list[ModuleName], Field(min_length=1)] = Field(
        default="all-linear",
        description="linear layers that have them: all of the body, or by the end of their names",
    )
