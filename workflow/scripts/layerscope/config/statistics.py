"""Settings of intervals and tests."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from layerscope.config.base import Name, Section, Seed


class Statistics(Section):
    """Bootstrap intervals."""

    resamples: Annotated[int, Field(ge=100, le=100_000)] = Field(
        default=1000, description="bootstrap resamples"
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.95, description="coverage of an interval"
    )
    seed: Seed = Field(default=0, description="seed of the resampling")
    margin: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.02, description="largest difference of two scores that counts as none"
    )


class AdapterSettings(Statistics):
    """What the table of adapters depends on."""

    pairs: list[tuple[Name, Name]] = Field(
        description="models that are fine-tuned whole, each with one of the same weights whose "
        "adapter is"
    )


class VarianceSettings(Statistics):
    """What the tables of variance depend on."""

    groups: list[list[Name]] = Field(
        description="names of models that differ in their training seed alone"
    )


class AssociationSettings(Statistics):
    """What the table of associations depends on."""

    families: dict[Name, Name] = Field(description="the model that each model is derived from")
