"""What all rules share: the checked configuration, names, paths and small input functions.

Needs: the configuration that Snakemake has read.
Gives: STUDY, the names of tasks and models, RESULTS, PROGRAMS, CODE.
"""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

PROGRAMS = f"{workflow.basedir}/workflow/scripts"
# The library is not installed; jobs find it beside their program, the Snakefile finds it here.
sys.path.insert(0, PROGRAMS)
# Jobs run in the environment that Snakemake runs in, activated or not (--sdm conda goes first).
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)

from layerscope.code import code_digest
from layerscope.config import jobs
from layerscope.config.load import read_yaml, validate
from layerscope.errors import UserError
from layerscope.variants import FINETUNED

try:
    for path in workflow.configfiles:
        read_yaml(
            path
        )  # refuses keys that stand twice, which Snakemake's own reader drops
    STUDY = validate(config)
except UserError as error:
    raise WorkflowError(f"The configuration is refused.\n{error}") from None

TASKS = list(STUDY.tasks)
MODELS = list(STUDY.models)
VARIANTS = jobs.all_variants(STUDY)
TUNED = jobs.finetuned_variants(STUDY)
PERCENTAGES = [percent for percent in STUDY.variants.percentages if percent > 0]
SEEDS = STUDY.variants.seeds
RESULTS = f"results/{STUDY.study}"
LOGS = f"logs/{STUDY.study}"
TIMES = f"{RESULTS}/benchmarks"
STATISTICS = jobs.statistics_settings(STUDY)


def one_of(names):
    """A wildcard constraint that admits the given names and nothing else."""
    return "|".join(names) or "(?!)"


def tasks_of(kind):
    return [task for task, entry in STUDY.tasks.items() if entry.kind == kind]


wildcard_constraints:
    task=one_of(TASKS),
    model=one_of(MODELS),
    corpus=one_of(STUDY.corpora),
    probe=one_of(STUDY.probes),
    variant=one_of(VARIANTS),
    tuned=FINETUNED,
    percent=r"\d+",
    seed=r"\d+",
    split="train|validation|test",


def kind(wildcards):
    return STUDY.tasks[wildcards.task].kind


def architecture(wildcards):
    return STUDY.models[wildcards.model].architecture


def views(wildcards):
    return jobs.views(STUDY, wildcards.task)


def model_folder(wildcards):
    """The pre-trained model: made by the workflow, or fetched."""
    return folder_of(wildcards.model)


def folder_of(model):
    if jobs.is_pretrained_here(STUDY, model):
        return f"{RESULTS}/pretrained/{model}"
    return f"resources/models/{model}"


rule configuration:
    """Keep the resolved configuration beside the results."""
    output:
        f"{RESULTS}/config.json",
    log:
        f"{LOGS}/configuration.log",
    benchmark:
        f"{TIMES}/configuration.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        configuration=STUDY.model_dump_json(),
        code=code_digest("write_config"),
    shell:
        "python {PROGRAMS}/write_config.py --configuration {params.configuration:q}"
        " --out {output} > {log} 2>&1"
