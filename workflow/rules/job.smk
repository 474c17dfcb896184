"""What every job has: program, digest of its code, record, memory and time.

Needs: STUDY, names and folders (common.smk); is_further() (groups.smk), once rules are there.
Gives: job(), fixed(), Aside, needed(), own_rules(), describe() and run_here(), which rules call.
"""

import subprocess
from functools import cache
from pathlib import Path

from snakemake.io import apply_wildcards

from layerscope.core.code import code_digest
from layerscope.core.files import by_folder
from layerscope.resources.needs import needs
from layerscope.runtime.arguments import argument
from layerscope.runtime.environment import distributions_of


def program(name):
    """A program's path from the working directory.

    Snakemake leaves params of this type out when it compares a job with the last run: moving the
    workflow or the study reruns nothing.
    """
    return Path(os.path.relpath(f"{PROGRAMS}/{name}.py"))


class Aside:
    """A text of which Snakemake takes no notice when it compares a job with the last run."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


@cache
def checkout():
    """Commit of the workflow, and whether tracked files differ from it; None for what is no checkout."""

    def git(*arguments):
        ran = subprocess.run(
            ["git", "-C", CHECKOUT, *arguments], capture_output=True, text=True
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


def record(rule, part=None, packages=None, configuration=None):
    """Param `record`: what a program is to know of its job for the record that it leaves.

    It is a function of `output`, which Snakemake leaves out when it compares a job with the last run.
    """

    def told(wildcards, input, output):
        named = packages(wildcards).split()[::2] if packages else []
        # `sklearn` is of the package scikit-learn.
        named = [(distributions_of(name) or [name])[0] for name in named]
        (log,) = own_rules(rule)[0].log
        # Snakemake does not tell a function which outputs are temporary.
        transient = getattr(wildcards, "variant", None) in TRANSIENT
        gone = placed(f"{RESULTS}/activations/") if transient else "//"
        about = canonical_json(
            {
                "rule": rule,
                "part": part,
                "study": STUDY.study,
                "wildcards": dict(wildcards.items()),
                "inputs": by_folder(map(str, input)),
                "outputs": [
                    {"path": str(path), "temporary": str(path).startswith(gone)}
                    for path in output
                ],
                "packages": named,
                "log": apply_wildcards(log, wildcards),
                "configuration": configuration,
                **checkout(),
            }
        )
        return argument(about)

    return told


def job(rule, name, part=None, packages=None, configuration=None):
    """Params of every job: its program, the digest of its code, and what its record needs.

    `part`: module of the library that the program imports by name (layerscope.core.code).
    `packages`: function of wildcards that names what the job reads from installed packages.
    `configuration`: what the record is to keep of where the configuration came from.
    """
    return {
        "record": record(rule, part, packages, configuration),
        "program": program(name),
        "code": code_digest(name, part),
    }


def fixed(text):
    """Param: a text of the configuration. In a plain string Snakemake takes `{word}` for a wildcard."""
    return lambda wildcards: text


def default_gpu_model():
    """Of `default-resources`, which Snakemake gives to all jobs: each of them would get a GPU."""
    found = (workflow.resource_settings.default_resources or {}).get("gpu_model")
    return str(getattr(found, "raw", found)).strip("'\"") if found else None


GPU_MODEL = default_gpu_model()


def needed(rule, gpu=False):
    """Resources of every job: memory and time, which grow with each attempt, and a GPU if asked for.

    `gpu` is 1 for jobs that would keep a core busy for long, else 0; these alone keep the model of GPU.
    """

    def memory(wildcards, attempt):
        return needs(STUDY, SIZES, rule, wildcards).mem_mb * attempt

    def minutes(wildcards, attempt):
        need = needs(STUDY, SIZES, rule, wildcards)
        return (
            need.further_minutes if is_further(rule, wildcards) else need.minutes
        ) * attempt

    def gpus(wildcards):
        return needs(STUDY, SIZES, rule, wildcards).gpu

    def model(wildcards):
        return GPU_MODEL if gpu and gpus(wildcards) else ""

    return (
        {"mem_mb": memory, "runtime": minutes}
        | ({"gpu": gpus} if gpu else {})
        | ({"gpu_model": model} if GPU_MODEL else {})
    )


def own_rules(*names):
    """Rules that were defined by these names: a module has others for them, or uses but some."""
    return [getattr(rules, name).rule for name in names if rules.has(name)]


def describe(name, text):
    """Give a rule that a loop makes its docstring."""
    for found in own_rules(name):
        found.docstring = text


def run_here(*names):
    """Let jobs of these rules run where Snakemake runs, as `localrules` does for rules of no module."""
    workflow.localrules(*(found.name for found in own_rules(*names)))
