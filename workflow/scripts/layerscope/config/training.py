"""Settings of fine-tuning and of pre-training."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from layerscope.config.base import Count, Positive, Section, Seed, Share

Precision = Literal["float32", "bfloat16", "auto"]
PRECISION = "bfloat16 is mixed precision; auto uses it if the device supports it"
CHECKPOINTING = "recompute blocks in the backward pass, which saves memory and costs time"
Schedule = Literal["linear", "constant"]
Steps = Annotated[int, Field(ge=0)]
#: Passes that a sample gets for the sake of its steps: enough for small ones (Mosbach et al. 2021).
MOST_EPOCHS = 20
MaxLength = Annotated[int, Field(ge=16, le=8192)]


def _nothing_required(schema: dict[str, Any]) -> None:
    """For editors: what a configuration leaves out comes from its protocol."""
    schema.pop("required", None)
    for field in schema["properties"].values():
        field.pop("default", None)


class FineTuning(Section):
    """How a model is fine-tuned on one kind of task; what is left out is the protocol's."""

    model_config = ConfigDict(json_schema_extra=_nothing_required)

    learning_rate: Positive = Field(description="peak rate of AdamW")
    epochs: Count = Field(description="passes over the sample")
    min_steps: Steps = Field(
        default=0, description="minimum number of optimiser steps, within at most 20 epochs"
    )
    batch_size: Count = Field(description="examples in an optimiser step")
    max_length: MaxLength = Field(
        description="sub-word limit; longer sentences are windowed (NER), texts cut and counted"
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.01, description="of AdamW")
    warmup_ratio: Share = Field(default=0.1, description="fraction of the steps with a rising rate")
    schedule: Schedule = Field(default="linear", description="of the rate after its rise")
    precision: Precision = Field(default="float32", description=PRECISION)
    gradient_checkpointing: bool = Field(default=False, description=CHECKPOINTING)

    def epochs_of(self, examples: int) -> int:
        """Passes over a sample: `epochs`, or as many as `min_steps` takes, but `MOST_EPOCHS`."""
        wanted = math.ceil(self.min_steps / math.ceil(examples / self.batch_size))
        return max(self.epochs, min(wanted, MOST_EPOCHS))


class FineTuningOverride(Section):
    """The settings of one model that differ from the common ones; what is left out is common."""

    learning_rate: Positive | None = Field(default=None, description="peak rate of AdamW")
    epochs: Count | None = Field(default=None, description="passes over the sample")
    min_steps: Steps | None = Field(default=None, description="minimum number of optimiser steps")
    batch_size: Count | None = Field(default=None, description="examples in an optimiser step")
    max_length: MaxLength | None = Field(default=None, description="sub-word limit")
    weight_decay: Annotated[float, Field(ge=0)] | None = Field(default=None, description="of AdamW")
    warmup_ratio: Share | None = Field(
        default=None, description="fraction of the steps with a rising rate"
    )
    schedule: Schedule | None = Field(default=None, description="of the rate after its rise")
    precision: Precision | None = Field(default=None, description=PRECISION)
    gradient_checkpointing: bool | None = Field(default=None, description=CHECKPOINTING)


class PreTraining(Section):
    """How a model is pre-trained: masked for encoders, causal for decoders."""

    steps: Count = Field(description="optimiser steps")
    batch_size: Count = Field(description="sequences in a step")
    sequence_length: Annotated[int, Field(ge=16, le=8192)] = Field(
        description="sub-words in a sequence; texts are packed"
    )
    learning_rate: Positive = Field(description="peak rate of AdamW")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.01, description="of AdamW")
    warmup_ratio: Share = Field(default=0.1, description="fraction of the steps with a rising rate")
    mlm_probability: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.15, description="encoders: fraction of the sub-words to be predicted"
    )
    seed: Seed = Field(default=0, description="seed of initial weights, order and masks")
    precision: Precision = Field(default="float32", description=PRECISION)


class Shape(Section):
    """The GPT-2 architecture and byte-level BPE tokenizer of a model made from scratch."""

    layers: Count = Field(description="transformer blocks")
    width: Count = Field(description="size of a hidden vector; a multiple of the heads")
    heads: Count = Field(description="attention heads in a block")
    vocabulary: Annotated[int, Field(ge=300, le=100_000)] = Field(
        description="sub-words of the tokenizer"
    )
    positions: Annotated[int, Field(ge=16, le=8192)] = Field(
        description="the longest input in sub-words"
    )
