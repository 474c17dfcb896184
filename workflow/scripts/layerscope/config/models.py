"""Where pre-trained models come from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from layerscope.config.base import (
    Count,
    FilePath,
    Invalid,
    Name,
    Repository,
    Revision,
    Section,
    Sha256,
)
from layerscope.config.training import PreTraining, Shape

LowerCase = Annotated[
    bool | None,
    Field(description="whether texts are lower-cased, for a vocab.txt if no other file says so"),
]


class PackagedModel(Section):
    """A model that an installed Python package ships."""

    kind: Literal["package"] = Field(description="shipped by an installed Python package")
    package: str = Field(description="import name of the package")
    folder: FilePath = Field(description="the model's folder inside the package")
    sha256: dict[str, Sha256] = Field(
        default={}, description="required digests of files as the package ships them"
    )
    lower_case: LowerCase = None


class LocalModel(Section):
    """A model in a folder: config.json, model.safetensors and tokenizer files; or one GGUF file."""

    kind: Literal["folder"] = Field(description="in a folder of your own")
    path: FilePath = Field(description="the folder")
    lower_case: LowerCase = None


class HubSize(Section):
    """The architecture of a model, as its `config.json` has it."""

    layers: Count = Field(description="transformer blocks")
    width: Count = Field(description="size of a hidden vector")
    heads: Count = Field(description="attention heads in a block")
    vocabulary: Count = Field(description="sub-words of the tokenizer")


class HubModel(Section):
    """A model on the Hugging Face hub, pinned to a commit; no code of the repository is run."""

    kind: Literal["hub"] = Field(description="in a repository of a hub")
    repository: Repository = Field(description="owner/name")
    revision: Revision = Field(description="full commit")
    sha256: dict[str, Sha256] = Field(
        default={}, description="required digests of files as they are on the hub"
    )
    size: HubSize | None = Field(
        default=None, description="architecture, used by estimate until the model is fetched"
    )
    lower_case: LowerCase = None


class ContinuedModel(Section):
    """Another model of the study, pre-trained further."""

    kind: Literal["continued"] = Field(description="another model after continued pre-training")
    base: Name = Field(description="the entry of 'models' to start from")
    corpus: Name = Field(description="the entry of 'corpora' to pre-train on")
    training: PreTraining = Field(description="how it is pre-trained")


class ScratchModel(Section):
    """A GPT-2 model pre-trained from random weights, with a tokenizer of its own."""

    kind: Literal["scratch"] = Field(description="pre-trained from random weights")
    corpus: Name = Field(description="the entry of 'corpora' to pre-train on")
    shape: Shape = Field(description="architecture and tokenizer")
    training: PreTraining = Field(description="how it is pre-trained")

    @model_validator(mode="after")
    def _shape(self) -> ScratchModel:
        if self.shape.width % self.shape.heads:
            raise Invalid(
                ("shape", "heads"),
                f"{self.shape.heads} does not divide width {self.shape.width}; "
                "allowed: a divisor of the width",
            )
        if self.training.sequence_length > self.shape.positions:
            raise Invalid(
                ("training", "sequence_length"),
                f"{self.training.sequence_length} is past the {self.shape.positions} positions "
                f"of the shape; allowed: 16 to {self.shape.positions}",
            )
        return self


ModelSource = Annotated[
    PackagedModel | LocalModel | HubModel | ContinuedModel | ScratchModel,
    Field(discriminator="kind"),
]


def origin(source: ModelSource) -> dict[str, Any]:
    """What of a source says which model it is; what is required or known of its files is not."""
    found = source.model_dump(mode="json", exclude={"sha256", "size"})
    if found.get("lower_case") is None:  # nothing is stated, as in studies without this entry
        found.pop("lower_case", None)
    return found


def families(sources: Mapping[str, ModelSource], bases: Mapping[str, str | None]) -> dict[str, str]:
    """The model that each model is derived from in the end: itself, or the base of its base.

    Models of one family are not independent of each other. Of several with the same weights, which
    are fine-tuned or read texts differently, it is the first by name.

    Args:
        sources: of each model.
        bases: the model that each model is made from, if any.
    """
    weights = {
        name: {key: value for key, value in origin(source).items() if key != "lower_case"}
        for name, source in sources.items()
    }

    def same(name: str) -> list[str]:
        return sorted(each for each in sources if weights[each] == weights[name])

    found = {}
    for name in sources:
        root = name
        while base := next((bases[each] for each in same(root) if bases[each]), None):
            root = base
        found[name] = same(root)[0]
    return found


def storing_model(name: str, origins: Mapping[str, Any], adapters: Collection[str]) -> str:
    """The model under whose name the files of a model are fetched: mostly itself.

    An adapter needs its base alone, so that models with adapters share the files of another model
    with the same source: of one that is fine-tuned whole if there is one, so that adding an adapter
    to a study moves no other model.

    Args:
        name: of the model.
        origins: of each model, where its files come from.
        adapters: models of which an adapter is fine-tuned.
    """
    if name not in adapters:
        return name
    same = [each for each in origins if origins[each] == origins[name]]
    return min(same, key=lambda each: (each in adapters, each))
