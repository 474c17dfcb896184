"""Settings of causal checks on fine-tuned models."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from layerscope.config.base import Count, Section, Seed, distinct

Percent = Annotated[int, Field(ge=1, le=100)]


class Interventions(Section):
    """Which heads are masked; the label is erased at every layer in any case."""

    head_shares: Annotated[list[Percent], AfterValidator(distinct)] = Field(
        default=[10, 25, 50],
        min_length=1,
        description="fractions of each layer's heads that are masked together, in percent; at "
        "least one head of each layer",
    )
    random_draws: Count = Field(default=5, description="sets of random heads of each fraction")
    examples: Count | None = Field(
        default=None,
        description="test examples that are scored, in whole groups; null for all",
    )
    seed: Seed = Field(
        default=0, description="of random heads, of permuted labels and of the examples scored"
    )
