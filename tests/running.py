"""Snakemake as a user runs it, on a copy of the workflow, and what it says that it would do."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from forking import ForkServer

from layerscope.runtime.fork_client import THREADS, VARIABLE

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "config" / "config.yaml"
PAPER = ROOT / "config" / "paper.yaml"
MINIATURE = ROOT / "tests" / "studies" / "miniature.yaml"
#: All that a run needs of the repository.
WORKFLOW = ("CITATION.cff", "Snakefile", "workflow", "config", "envs", "profiles")

Config = dict[str, Any]


def read_config(path: Path) -> Config:
    config: Config = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def write_config(path: Path, config: Config) -> Path:
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def copy_workflow(to: Path, source: Path = ROOT) -> Path:
    """A copy of the workflow's code with new time stamps, to run and to edit."""
    to.mkdir(parents=True)
    for name in WORKFLOW:
        if (source / name).is_dir():
            shutil.copytree(
                source / name,
                to / name,
                copy_function=shutil.copyfile,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        else:
            shutil.copyfile(source / name, to / name)
    return to


def command(
    workflow: Path, folder: Path, *options: str | Path, fork_server: bool = False
) -> list[str]:
    """Snakemake's command line; with `fork_server`, as `make demo` runs it."""
    script = [sys.executable, str(workflow / "workflow" / "scripts" / "fork_server.py")]
    return [
        *(script if fork_server else []),
        *(sys.executable, str(ROOT / "tests" / "snakemake_calmly.py")),
        *("--snakefile", str(workflow / "Snakefile"), "--directory", str(folder)),
        *map(str, options),
    ]


def environment() -> dict[str, str]:
    """Of a user who has not activated any environment, and who is offline."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    for name in ("PYTHONPATH", "HF_HUB_OFFLINE", "HF_ENDPOINT", "HF_TOKEN"):
        kept.pop(name, None)
    nowhere = "http://127.0.0.1:9"
    return kept | {"http_proxy": nowhere, "https_proxy": nowhere, "HTTPS_PROXY": nowhere}


@functools.cache
def _server() -> ForkServer:
    """Of this process of the tests, for Snakemake."""
    return ForkServer(environment(), "snakemake")


@functools.cache
def server_of_jobs() -> Mapping[str, str]:
    """What programs need in their environment for a fork server to run them.

    All processes of the tests share one, which takes ten seconds to import its libraries. It ends
    when the process does that started the tests.
    """
    started = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    place = Path(tempfile.gettempdir()) / f"layerscope-tests-{os.getuid()}-{started}"
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            wait = f"echo ${VARIABLE}; while kill -0 {started}; do sleep 1; done"
            wait += f"; rm -f '{place}' '{lock.name}'"
            process = subprocess.Popen(
                [
                    sys.executable,
                    ROOT / "workflow" / "scripts" / "fork_server.py",
                    "sh",
                    "-c",
                    wait,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment(),
                start_new_session=True,
            )
            assert process.stdout
            place.write_text(process.stdout.readline().strip())
    return {VARIABLE: place.read_text(), THREADS: "1"}


def snakemake(
    workflow: Path,
    folder: Path,
    *options: str | Path,
    fork_server: bool = False,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake to its end; stdout and stderr come together in `stdout`.

    `variables` are added to the environment. With `fork_server`, a server forks the programs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = environment() | dict(variables or {})
    if fork_server:
        given |= server_of_jobs()
    arguments = command(workflow, folder, *options)
    return _server().run(arguments[1:], folder, given, together=True)


@dataclass(frozen=True)
class Job:
    """One job of a plan; two are equal if rule and wildcards are."""

    rule: str
    wildcards: tuple[tuple[str, str], ...] = ()
    inputs: tuple[str, ...] = field(default=(), compare=False)
    outputs: tuple[str, ...] = field(default=(), compare=False)
    command: str = field(default="", compare=False)

    def __str__(self) -> str:
        return " ".join([self.rule, *(f"{name}={value}" for name, value in self.wildcards)])

    def of(self, name: str) -> str | None:
        """The value of a wildcard. `variant` is that of a rule that names its parts as well."""
        values = dict(self.wildcards)
        if name == "variant" and "percent" in values:
            return f"f{values['percent']}-s{values['seed']}"
        if name == "model" and self.rule == "score":
            return values["system"]
        return values.get(name)


Plan = set[Job]

_HEAD = re.compile(r"(?:local)?rule (\w+):")


def parse(text: str) -> Plan:
    """Jobs of the text that a dry run prints (with `--printshellcmds`)."""
    jobs = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        start = next((i for i, text in enumerate(lines) if _HEAD.fullmatch(text)), None)
        if start is None:
            continue
        head = _HEAD.fullmatch(lines[start])
        assert head is not None
        entries = dict(re.findall(r"^    (\w+): (.*)$", paragraph, re.MULTILINE))
        shell = re.search(r"^Shell command: (.*)$", paragraph, re.MULTILINE)
        jobs.append(
            Job(
                rule=head[1],
                wildcards=tuple(
                    (part.partition("=")[0], part.partition("=")[2])
                    for part in entries.get("wildcards", "").split(", ")
                    if part
                ),
                inputs=tuple(entries["input"].split(", ")) if "input" in entries else (),
                outputs=tuple(entries["output"].split(", ")) if "output" in entries else (),
                command=shell[1] if shell else "",
            )
        )
    assert len(jobs) == len(set(jobs)), "rule and wildcards name a job"
    total = re.search(r"^total +(\d+)$", text, re.MULTILINE)
    assert len(jobs) == (int(total[1]) if total else 0), text
    assert jobs or "Nothing to be done" in text, text
    return set(jobs)


def plan(
    workflow: Path,
    folder: Path,
    config: Path | None,
    *options: str | Path,
    variables: Mapping[str, str] | None = None,
) -> Plan:
    """What Snakemake would run: a dry run."""
    given: list[str | Path] = ["--configfile", config] if config else []
    arguments = ["--dry-run", "--printshellcmds", *given, *options, "--nocolor"]
    result = snakemake(workflow, folder, *arguments, variables=variables)
    assert result.returncode == 0, result.stdout
    return parse(result.stdout)


class Finished(NamedTuple):
    """A finished run of the miniature. Tests change nothing in it."""

    workflow: Path  # a copy of the workflow's code
    folder: Path  # where it was run
    config: Path
    output: str  # what Snakemake printed
    everything: Plan  # all jobs of the study


def options(study: Finished, cores: int = 2) -> list[str | Path]:
    """Options of a run on one machine, as README has it."""
    profile = study.workflow / "profiles" / "local"
    return ["--profile", profile, "--cores", str(cores), "--configfile", study.config]


def count(jobs: Iterable[Job]) -> dict[str, int]:
    """Jobs by rule."""
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.rule] = counts.get(job.rule, 0) + 1
    return counts


def with_downstream(jobs: Plan, chosen: Callable[[Job], bool]) -> Plan:
    """The chosen jobs of a plan and every job that reads what one of them makes, and so on."""
    found = {job for job in jobs if chosen(job)}
    while True:
        made = {output for job in found for output in job.outputs}
        more = {job for job in jobs if not made.isdisjoint(job.inputs)} - found
        if not more:
            return found
        found |= more


def copy_finished(study: Finished, to: Path, copy: Callable[[str, str], object] = os.link) -> Path:
    """Its folder elsewhere, by links: replace files, do not write into them.

    Locks stay behind: other tests plan in the folder meanwhile.
    """
    ignore = shutil.ignore_patterns("locks")
    return Path(shutil.copytree(study.folder, to, copy_function=copy, symlinks=True, ignore=ignore))
