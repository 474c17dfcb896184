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


def training_repeats(study: Study) -> list[list[str]]:
    """Groups of models, two or more, that differ in their training seed alone.

    None where variants have a single sample: one seed, or the largest fraction is all of the data.
    """
    grid = study.variants
    if len(grid.seeds) < 2 or max(grid.percentages) == 100:
        return []
    groups: dict[str, list[str]] = {}
    for name, model in study.models.items():
        if model.training_seed is not None:
            left_out = {"training_seed", "note", "derived_from"}
            about = canonical_json(model.model_dump(mode="json", exclude=left_out))
            groups.setdefault(about, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def variance_settings(study: Study) -> str:
    """What the tables of variance depend on: statistics, and the models that are trained again."""
    settings = study.statistics.model_dump(mode="json", exclude={"margin"})
    return canonical_json({**settings, "groups": training_repeats(study)})


def adapter_pairs(study: Study) -> list[tuple[str, str]]:
    """Models that are fine-tuned whole, each with one of the same weights whose adapter is.

    Both have the same training seed, or none. In the order of the models with adapters; of several
    whole models the first.
    """
    weights = {
        name: (origin(model.source), model.training_seed) for name, model in study.models.items()
    }
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
