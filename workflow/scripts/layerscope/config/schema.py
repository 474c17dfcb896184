"""The whole configuration of a study, with the checks that span sections."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from layerscope.config.analyses import Analyses
from layerscope.config.base import (
    Architecture,
    Count,
    FilePath,
    Invalid,
    Name,
    Section,
    Seed,
    distinct,
)
from layerscope.config.corpora import CorpusSource
from layerscope.config.extraction import Activations, Attention, View
from layerscope.config.interventions import Interventions
from layerscope.config.models import ContinuedModel, ModelSource, ScratchModel
from layerscope.config.probes import PROBE_TASKS, Probe, ProbeRows
from layerscope.config.protocols import Protocol, with_protocol
from layerscope.config.statistics import Statistics
from layerscope.config.tasks import Limit, TagScheme, TaskSource, check_source
from layerscope.config.training import FineTuning, FineTuningOverride
from layerscope.config.weights import Dtype, Lora, Quantisation
from layerscope.core.kinds import TaskKind

#: Views that each kind of task may have; where `views` names none, it is the first, but for nli.
VIEWS_OF_KIND: dict[TaskKind, tuple[View, ...]] = {
    "nli": ("separate", "joint", "separate-last", "joint-last"),
    "classification": ("text", "text-last"),
    "ner": ("word", "word-last"),
}


def _suggest(value: str, allowed: Iterable[str]) -> str:
    allowed = list(allowed)
    close = get_close_matches(value, allowed, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"allowed: {', '.join(allowed) or 'none is defined'}{hint}"


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    if not values:
        raise ValueError("{} is empty; allowed: one or more entries")
    return values


class Task(Section):
    """A labelled data set, and the probes that run on it."""

    kind: TaskKind = Field(
        description="nli: pairs of texts with a label each; classification: single texts with a "
        "label each; ner: entities in sentences"
    )
    source: TaskSource = Field(description="where the examples come from")
    limit: Limit = Field(default=Limit(), description="maximum number of examples per split")
    probes: Annotated[list[Name], AfterValidator(distinct)] = Field(
        min_length=1, description="names of entries of 'probes' that fit the kind"
    )
    probe_rows: Annotated[list[ProbeRows], AfterValidator(distinct)] | None = Field(
        default=None,
        min_length=1,
        description="splits that probes learn from, each by itself; all further analyses are of "
        "the first one; null: the protocol's",
    )
    reserved: Annotated[int, Field(ge=1, le=50)] | None = Field(
        default=None,
        description="percent of the training data that no model is fine-tuned on; needed by "
        "'reserved' in probe_rows, where the validation data is too small",
    )
    probe_limit: Count | None = Field(
        default=None,
        description="examples, or words (ner), of each of these that a probe sees; null: all",
    )
    probe_test_limit: Count | None = Field(
        default=None,
        description="examples, or words (ner), of the test data that probes and similarity are "
        "measured on; null: all",
    )
    views: Annotated[list[View], AfterValidator(distinct)] | None = Field(
        default=None,
        description="means of premise and hypothesis apart (separate), of the pair (joint), of the "
        "text or of a word; with -last: the last sub-word instead; null: text or word",
    )
    tag_scheme: TagScheme | None = Field(
        default=None,
        description="NER only: models learn IOB2 tags, or B and I merged; null: the protocol's",
    )

    @model_validator(mode="after")
    def _fits(self) -> Task:
        check_source(self.kind, self.source)
        allowed = VIEWS_OF_KIND[self.kind]
        if self.views == [] or (self.kind == "nli" and self.views is None):
            found = "is missing" if self.views is None else "[] is empty"
            raise Invalid(
                ("views",),
                f"{found} for kind '{self.kind}'; allowed: one or more of {', '.join(allowed)}",
            )
        for place, view in enumerate(self.views or []):
            if view not in allowed:
                raise Invalid(
                    ("views", place),
                    f"'{view}' for kind '{self.kind}'; allowed: {', '.join(allowed)}",
                )
        if "reserved" in (self.probe_rows or []) and self.reserved is None:
            raise Invalid(
                ("reserved",), "is missing, but probe_rows has 'reserved'; allowed: 1 to 50"
            )
        if self.reserved is not None and "reserved" not in (self.probe_rows or []):
            raise Invalid(
                ("reserved",),
                f"{self.reserved}, but probe_rows has no 'reserved'; allowed: to be left out",
            )
        if self.kind != "ner" and self.tag_scheme is not None:
            raise Invalid(
                ("tag_scheme",),
                f"'{self.tag_scheme}' for kind '{self.kind}'; allowed: to be left out",
            )
        return self


class Corpus(Section):
    """Plain text to pre-train on."""

    source: CorpusSource = Field(description="where the text comes from")
    max_words: Count | None = Field(
        default=None, description="maximum words of the training part; null for all"
    )


class ModelFineTuning(Section):
    """What one model's fine-tuning changes in the common settings, by kind of task."""

    nli: FineTuningOverride = Field(
        default=FineTuningOverride(), description="what differs on tasks of kind 'nli'"
    )
    classification: FineTuningOverride = Field(
        default=FineTuningOverride(), description="what differs on tasks of kind 'classification'"
    )
    ner: FineTuningOverride = Field(
        default=FineTuningOverride(), description="what differs on tasks of kind 'ner'"
    )


class Model(Section):
    """A pre-trained language model."""

    architecture: Architecture = Field(
        description="encoder: reads in both directions (BERT); decoder: left to right (GPT-2)"
    )
    domain: Name = Field(
        description="of the text it was trained on: general, biomedical, or any other name"
    )
    note: str | None = Field(
        default=None, description="what readers of its results must know; follows its name"
    )
    source: ModelSource = Field(description="where the model comes from")
    derived_from: Name | None = Field(
        default=None,
        description="the model of the study whose weights its makers started from",
    )
    finetuning: ModelFineTuning = Field(
        default=ModelFineTuning(), description="what differs from the common fine-tuning settings"
    )
    training_seed: Seed | None = Field(
        default=None,
        description="of new head, order of examples and dropout; null: that of the variant, which "
        "draws the training sample in any case",
    )
    adapter: Lora | None = Field(
        default=None, description="what is fine-tuned with the head; null: the whole model"
    )
    dtype: Dtype = Field(default="float32", description="type that the weights are loaded in")
    quantisation: Quantisation | None = Field(
        default=None, description="4bit: of the base of an adapter; needs a GPU and bitsandbytes"
    )
    gpus: Annotated[int, Field(ge=1, le=8)] = Field(
        default=1, description="GPUs that share its layers, in jobs that run on GPUs"
    )

    def seed_of(self, variant: str) -> str:
        """Seed of a training, from that of its variant."""
        return variant if self.training_seed is None else str(self.training_seed)

    @property
    def base(self) -> str | None:
        """The model of the study that it is made from, here or by its makers."""
        return self.source.base if isinstance(self.source, ContinuedModel) else self.derived_from

    @model_validator(mode="after")
    def _weights(self) -> Model:
        if self.derived_from is not None and isinstance(self.source, ContinuedModel | ScratchModel):
            raise Invalid(
                ("derived_from",),
                f"'{self.derived_from}' for a model that the study pre-trains itself; "
                "allowed: null (its source says what it starts from)",
            )
        if self.adapter and isinstance(self.source, ContinuedModel | ScratchModel):
            raise Invalid(
                ("adapter",),
                f"'{self.adapter.kind}' on a model that the study pre-trains itself; "
                "allowed: null, or a source of kind 'package', 'folder' or 'hub'",
            )
        if self.dtype == "bfloat16" and self.adapter is None:
            raise Invalid(
                ("dtype",),
                "'bfloat16' without an adapter: training would lose most updates of the weights "
                "to rounding; allowed: 'float32', or an adapter",
            )
        if self.quantisation and self.adapter is None:
            raise Invalid(
                ("quantisation",),
                f"'{self.quantisation}' without an adapter, but quantised weights cannot be "
                "trained; allowed: null, or an adapter",
            )
        if self.gpus > 1 and self.quantisation:
            raise Invalid(
                ("gpus",), f"{self.gpus} with quantisation '{self.quantisation}'; allowed: 1"
            )
        if self.gpus > 1 and isinstance(self.source, ContinuedModel | ScratchModel):
            raise Invalid(
                ("gpus",),
                f"{self.gpus} of a model that the study pre-trains itself, on one GPU; allowed: 1",
            )
        return self


class FineTuningByKind(Section):
    """The common fine-tuning settings of each kind of task."""

    nli: FineTuning | None = Field(default=None, description="null: the protocol's")
    classification: FineTuning | None = Field(default=None, description="null: the protocol's")
    ner: FineTuning | None = Field(default=None, description="null: the protocol's")


class Grid(Section):
    """Which variants of every model there are, beside the pre-trained one."""

    percentages: Annotated[list[Annotated[int, Field(ge=0, le=100)]], AfterValidator(distinct)] = (
        Field(min_length=1, description="training fractions in percent; 0 is the pre-trained model")
    )
    seeds: Annotated[list[Seed], AfterValidator(distinct)] = Field(
        min_length=1, description="seeds of the sample, the new head and the order of training"
    )
    random_seeds: Annotated[list[Seed], AfterValidator(distinct)] = Field(
        default=[0],
        min_length=1,
        description="seeds of random weights, the control; each is a variant of its own",
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
    protocol: Protocol = Field(
        default="recommended",
        description="values of 'finetuning', 'probes' and 'tag_scheme' if left out",
    )
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
    variants: Grid = Field(description="the variants of every model")
    finetuning: FineTuningByKind = Field(
        default=FineTuningByKind(),
        description="common settings of fine-tuning; what is left out: the protocol's",
    )
    activations: Activations = Field(
        default=Activations(), description="what is stored for every layer"
    )
    probes: Annotated[dict[Name, Probe], AfterValidator(_filled)] = Field(
        default={},
        description="classifiers on frozen vectors, by name; left out: the protocol's",
    )
    attention: Attention | None = Field(
        description="how attention maps are compared; null: not at all"
    )
    interventions: Interventions | None = Field(
        default=Interventions(),
        description="causal checks on models of the largest training fraction; null: none",
    )
    analyses: Analyses = Field(
        default=Analyses(), description="further analyses; each is on unless turned off"
    )
    statistics: Statistics = Field(default=Statistics(), description="how intervals are computed")
    references: FilePath | None = Field(
        default=None, description="table of published values to compare with, CSV"
    )
    readable_by_others: bool = Field(
        default=False, description="whether others may read files derived from credentialed data"
    )

    @model_validator(mode="before")
    @classmethod
    def _protocol(cls, config: Any) -> Any:
        return with_protocol(config) if isinstance(config, dict) else config

    @model_validator(mode="after")
    def _references(self) -> Study:
        for name, task in self.tasks.items():
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
            self._check_chain(name)
            if isinstance(source, ContinuedModel):
                base = self.models[source.base]
                if base.architecture != model.architecture:
                    raise Invalid(
                        ("models", name, "architecture"),
                        f"'{model.architecture}' differs from its base '{source.base}'; "
                        f"allowed: '{base.architecture}'",
                    )
        return self

    def _check_chain(self, name: str) -> None:
        """Follow what a model is made from until a model that is made from no other.

        Raises:
            Invalid: a base is unknown, or the chain comes back to a model it has passed.
        """
        chain = [name]
        while base := self.models[chain[-1]].base:
            continued = isinstance(self.models[chain[-1]].source, ContinuedModel)
            entry = ("source", "base") if continued else ("derived_from",)
            where = ("models", chain[-1], *entry)
            if base not in self.models:
                others = [model for model in self.models if model not in chain]
                raise Invalid(where, f"'{base}' is not a model; {_suggest(base, others)}")
            if base in chain:
                raise Invalid(
                    where,
                    f"'{base}' is circular ({' from '.join([*chain, base])}); "
                    "allowed: a model that is not made from this one",
                )
            chain.append(base)
