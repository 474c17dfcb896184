"""The published study as planned before anything is fetched: for tests of needs and of disk."""

from __future__ import annotations

import copy
from itertools import product
from pathlib import Path
from typing import Any

from layerscope import catalogue
from layerscope.config import jobs
from layerscope.config.largest import largest_variants
from layerscope.config.load import read_yaml, validate
from layerscope.config.quality import described_variants
from layerscope.config.schema import Study
from layerscope.core.measures import BASELINES_OF_KIND
from layerscope.resources.computing import Needs
from layerscope.resources.estimate import Estimate, estimate
from layerscope.resources.groups import group_of
from layerscope.resources.needs import needs
from layerscope.resources.sizes import (
    read_sizes,
)

ROOT = Path(__file__).parents[2]
DEMO, PAPER = ROOT / "config" / "config.yaml", ROOT / "config" / "paper.yaml"

Config = dict[str, Any]
Job = tuple[str, dict[str, str]]


def paper(**changes: Any) -> Study:
    config = copy.deepcopy(read_yaml(PAPER)) | {"references": None}
    return validate(config | changes)


def need(study: Study, rule: str, **wildcards: str) -> Needs:
    return needs(study, read_sizes(study), rule, wildcards)


def some_jobs(study: Study) -> list[Job]:
    """Of each rule whose needs depend on the study, those that `keep` is about among them."""
    found: list[Job] = [("score", {"task": task, "system": "majority"}) for task in study.tasks]
    for task, model in product(study.tasks, study.models):
        both = {"task": task, "model": model}
        for variant in jobs.all_variants(study):
            tuned = variant in jobs.finetuned_variants(study)
            of = both | {"variant": variant}
            found.append(("extract_finetuned" if tuned else "extract_base", of))
            found += [("probe", of | {"probe": probe}) for probe in study.tasks[task].probes]
            found.append(("similarity", of))
            if study.analyses.usable_information:
                found.append(("usable_information", of))
            if tuned:
                percent, seed = jobs.parse_variant(variant)
                found.append(("finetune", both | {"percent": str(percent), "seed": str(seed)}))
        causal = ("intervene", "patch") if study.analyses.patching else ("intervene",)
        changed = jobs.intervened_variants(study)
        found += [(rule, both | {"variant": v}) for rule in causal for v in changed]
        found += [("head_lens", both | {"variant": v}) for v in jobs.lensed_variants(study)]
        weighed = largest_variants(study, "head_importance")
        found += [("head_importance", both | {"variant": v}) for v in weighed]
        described = described_variants(study)
        found += [("representation_quality", both | {"variant": v}) for v in described]
    return found


def grouped_jobs(study: Study) -> dict[str, list[Job]]:
    """Jobs that are in groups, by the name of the group."""
    on = jobs.analyses(study)
    found = [job for job in some_jobs(study) if group_of(job[0])]
    for task in study.tasks:
        of = {"task": task}
        found.append(("prepare_task", of))
        found += [("sample_for_probes", of)] * len(jobs.probe_rows(study, task))
        tuned = len(jobs.finetuned_variants(study))
        baselines = BASELINES_OF_KIND[study.tasks[task].kind]
        found += [("subsample", of)] * tuned + [("baseline", of)] * tuned * len(baselines)
        found += [("score", of)] * (len(study.models) + len(baselines))
        for table in catalogue.planned(catalogue.TABLES, on):
            if table.part:
                models = list(study.models) if "model" in table.part.by else [""]
                found += [(f"part_{table.name}", of | {"model": model}) for model in models]
    found += [(table.rule, {}) for table in catalogue.planned(catalogue.TABLES, on)]
    for figure in catalogue.planned(catalogue.FIGURES, on):
        found += [(figure.rule, {})] * (len(study.tasks) if figure.by_task else 1)
    for page in catalogue.planned(catalogue.PAGES, on):
        of_each = [{"task": task} for task in study.tasks] if page.by_task else [{}]
        found += [(page.name, of) for of in of_each]
    groups: dict[str, list[Job]] = {}
    for rule, wildcards in found:
        groups.setdefault(str(group_of(rule)).format(**wildcards), []).append((rule, wildcards))
    return groups


def estimated(study: Study) -> Estimate:
    return estimate(study, read_sizes(study), some_jobs(study))


TUNE = {"task": "jnlpba", "model": "bert", "percent": "100", "seed": "1"}
EXTRACT = {"task": "jnlpba", "model": "bert", "variant": "f100-s1"}
PROBE = {"task": "jnlpba", "model": "bert", "variant": "pretrained", "probe": "linear"}
