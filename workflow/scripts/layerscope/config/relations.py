"""Which models of a study have to do with each other, and what tables are told of it."""

from __future__ import annotations

from layerscope.config.models import families, origin
from layerscope.config.schema import Study
from layerscope.core.files import canonical_json


def association_settings(study: Study) -> str:
    """What the table of associations depends on: statistics, and which models are related."""
    sources = {name: model.source for name, model in study.models.items()}
    bases = {name: model.base for name, model in study.models.items()}
    related = families(sources, bases)
    settings = study.statistics.model_dump(mode="json", exclude={"margin"})
    return canonical_json({**settings, "families": related})


def training_repeats(study: Study) -> dict[str, list[list[str]]]:
    """Of each task, groups of models that differ in their training seed alone.

    Groups have at least two models; a task without any is left out.
    """
    found: dict[str, list[list[str]]] = {}
    for task, entry in study.tasks.items():
        groups: dict[str, list[str]] = {}
        for name, model in study.models.items():
            if getattr(model.finetuning, entry.kind).training_seed is None:
                continue
            about = model.model_dump(mode="json", exclude={"note", "derived_from"})
            del about["finetuning"][entry.kind]["training_seed"]
            groups.setdefault(canonical_json(about), []).append(name)
        several = [names for names in groups.values() if len(names) > 1]
        if several:
            found[task] = several
    return found


def variance_settings(study: Study) -> str:
    """What the tables of variance depend on: statistics, and the models that are trained again."""
    settings = study.statistics.model_dump(mode="json", exclude={"margin"})
    return canonical_json({**settings, "groups": training_repeats(study)})


def adapter_pairs(study: Study) -> list[tuple[str, str]]:
    """Models that are fine-tuned whole, each with one of the same weights whose adapter is.

    In the order of the models with adapters; of several whole models the first.
    """
    weights = {name: origin(model.source) for name, model in study.models.items()}
    whole = [name for name, model in study.models.items() if model.adapter is None]
    found = []
    for name, model in study.models.items():
        same = [other for other in whole if weights[other] == weights[name]]
        if model.adapter and same:
            found.append((same[0], name))
    return found


def adapter_settings(study: Study) -> str:
    """What the table of adapters depends on: statistics, and the pairs that it compares."""
    settings = study.statistics.model_dump(mode="json")
    return canonical_json({**settings, "pairs": adapter_pairs(study)})
