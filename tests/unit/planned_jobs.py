"""The published study as planned before anything is fetched: for tests of needs and of disk."""

from __future__ import annotations

import copy
from itertools import product
from pathlib import Path
from typing import Any

from layerscope.config import jobs
from layerscope.config.load import read_yaml, validate
from layerscope.config.schema import Study
from layerscope.resources.estimate import Estimate, estimate
from layerscope.resources.needs import Needs, needs
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
            if tuned:
                percent, seed = jobs.parse_variant(variant)
                found.append(("finetune", both | {"percent": str(percent), "seed": str(seed)}))
        found += [("intervene", both | {"variant": v}) for v in jobs.intervened_variants(study)]
    return found


def estimated(study: Study) -> Estimate:
    return estimate(study, read_sizes(study), some_jobs(study))


TUNE = {"task": "jnlpba", "model": "bert", "percent": "100", "seed": "1"}
EXTRACT = {"task": "jnlpba", "model": "bert", "variant": "f100-s1"}
PROBE = {"task": "jnlpba", "model": "bert", "variant": "pretrained", "probe": "linear"}
