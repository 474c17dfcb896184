"""Used by all rules: the checked configuration, its names, and where files lie.

Needs: the configuration that Snakemake has read.
Gives: STUDY, names of tasks, models, variants and analyses, folders, and constraints of wildcards.
"""

import os
import sys

from snakemake.exceptions import WorkflowError

if not workflow.current_basedir.is_local:
    raise WorkflowError(
        f"{workflow.current_basedir}: programs cannot run from there;"
        " allowed: the path of a checkout of layerscope"
    )
#: The checkout that this file is part of, wherever the main Snakefile lies.
CHECKOUT = os.path.abspath(f"{workflow.current_basedir}/../..")
if {"{", "}"} & set(CHECKOUT):
    raise WorkflowError(
        f"{CHECKOUT}: Snakemake takes text in braces for a wildcard; allowed: a path without braces"
    )
PROGRAMS = f"{CHECKOUT}/workflow/scripts"
#: Whether another workflow uses this one, with a configuration of its choice.
IS_MODULE = not workflow.modifier.is_main_snakefile()
# The library is not installed; jobs find it beside their program, the Snakefile finds it here.
sys.path.insert(0, PROGRAMS)

from layerscope import catalogue
from layerscope.config import jobs, relations
from layerscope.config.checksums import check_checksums
from layerscope.config.largest import largest_variants
from layerscope.config.load import read_yaml, validate
from layerscope.config.paths import check_paths, resolve_paths
from layerscope.config.quality import described_variants
from layerscope.config.references import read_references
from layerscope.config.shared_names import check_shared_names
from layerscope.core.errors import UserError
from layerscope.core.files import canonical_json, sha256_file
from layerscope.core.measures import BASELINES_OF_KIND
from layerscope.resources.layers import check_layers
from layerscope.resources.rates import read_rates
from layerscope.resources.sizes import read_sizes
from layerscope.runtime.environment import keep_private, set_up_jobs, tune_gc
from layerscope.runtime.gpus import check_gpus

if not workflow.overwrite_configfiles:
    DEFAULT = f"{CHECKOUT}/config/config.yaml"
    try:  # before Snakemake, whose own reader ends in tracebacks
        IS_MODULE or read_yaml(DEFAULT)
    except UserError as error:
        raise WorkflowError(f"The configuration is not valid.\n{error}") from None

    configfile: DEFAULT


set_up_jobs()
tune_gc()
# A polite kill reaches a job's shell too. With a trap it waits for the program, which may be saving.
shell.prefix("set -euo pipefail; trap : TERM; ")
#: Gives a path the prefix of a module. Snakemake itself does so in inputs, outputs, logs and benchmarks alone.
placed = workflow.modifier.path_modifier.replace_prefix

try:
    # Reading them refuses keys that stand twice, which Snakemake drops. A module's paths count from the
    # working directory, since the workflow that uses it may have computed them.
    read = [
        (path, read_yaml(path)) for path in ([] if IS_MODULE else workflow.configfiles)
    ]
    STUDY = validate(resolve_paths(config, read))
    check_paths(STUDY)
    check_shared_names(STUDY, os.path.dirname(placed(f"results/{STUDY.study}")))
    check_checksums(
        required._replace(record=placed(required.record))
        for required in jobs.required_checksums(STUDY)
    )
    if STUDY.references:
        read_references(STUDY.references)  # now, and not after days of training
    read_rates()  # what jobs request depends on them
    SIZES = read_sizes(STUDY, placed(""))
    check_layers(STUDY, SIZES)
    if workflow.is_main_process:  # that of a job knows the resources of this one job
        limit = workflow.global_resources.get("gpu")
        wanted = {name: model.gpus for name, model in STUDY.models.items()}
        check_gpus(wanted, limit.value if limit else None)
except UserError as error:
    raise WorkflowError(f"The configuration is not valid.\n{error}") from None

TASKS = list(STUDY.tasks)
MODELS = list(STUDY.models)
FETCHED = [
    model
    for model in MODELS
    if not jobs.is_pretrained_here(STUDY, model)
    and jobs.stored_as(STUDY, model) == model
]
MADE = [model for model in MODELS if jobs.is_pretrained_here(STUDY, model)]
#: Their order in the configuration is no reason to run again.
SORTED_MODELS = sorted(MODELS)
HUB_TASKS = [
    task for task in TASKS if STUDY.tasks[task].source.kind in ("hub", "dataset")
]
BASELINE_NAMES = sorted(
    {name for names in BASELINES_OF_KIND.values() for name in names}
)
VARIANTS = jobs.all_variants(STUDY)
FINETUNED = jobs.finetuned_variants(STUDY)
BASES = [variant for variant in VARIANTS if variant not in FINETUNED]
COMPARED = jobs.compared_variants(STUDY)
SMALLEST = jobs.smallest_variants(STUDY)
INTERVENED = jobs.intervened_variants(STUDY)
LENSED = jobs.lensed_variants(STUDY)
WEIGHED = largest_variants(STUDY, "head_importance")
DESCRIBED = described_variants(STUDY)
#: Variants whose activations stay, and those whose activations go once every probe has read them.
KEPT = jobs.kept_variants(STUDY)
TRANSIENT = jobs.transient_variants(STUDY)
ANALYSES = jobs.analyses(STUDY)
RESULTS = f"results/{STUDY.study}"
TABLES = f"{RESULTS}/tables"
PARTS = f"{RESULTS}/parts"
FIGURES = f"{RESULTS}/figures"
LOGS = f"logs/{STUDY.study}"
TIMES = f"{RESULTS}/benchmarks"
ACTIVATIONS = jobs.activation_settings(STUDY)
STATISTICS = jobs.statistics_settings(STUDY)

if jobs.is_private(STUDY):
    try:  # every process of Snakemake comes here, and its jobs inherit the mask
        keep_private([placed(RESULTS), placed(LOGS), ".snakemake/log"])
    except UserError as error:
        raise WorkflowError(str(error)) from None


def one_of(names):
    """A wildcard constraint that admits the given names and nothing else."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    task=one_of(TASKS),
    model=one_of(MODELS),
    corpus=one_of(STUDY.corpora),
    probe=one_of(STUDY.probes),
    variant=one_of(VARIANTS),
    system=one_of(MODELS + BASELINE_NAMES),
    baseline=one_of(BASELINE_NAMES),
    percent=r"\d+",
    seed=r"\d+",
    split="train|reserved|validation|test",
