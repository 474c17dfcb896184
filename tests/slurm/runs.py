"""Runs of the miniature on the lab's SLURM."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cluster import SlurmJob, slurm_jobs
from running import Finished, command, environment

from layerscope.run_records.content import ENDING

#: One fine-tuning has a minute at first, SLURM's least; all others have enough.
MINUTES = (
    "finetune:runtime=(1 if attempt == 1 else 6)"
    " if (wildcards.model, wildcards.seed) == ('bert-tiny', '2') else 10"
)
RESULTS = Path("results/miniature")
#: All fine-tuned models of one task.
TUNED = [
    f"{RESULTS}/finetuned/hpo-nli/{model}/{variant}"
    for model in ("bert-tiny", "gpt-tiny")
    for variant in ("f50-s1", "f50-s2")
]


class Run(NamedTuple):
    """A run that has ended."""

    study: Finished
    jobs: list[SlurmJob]  # all that SLURM recorded of it, in the order of submission
    hit: dict[str, SlurmJob]  # the job that each fault has met, as it was then
    returncode: int
    output: str


def copy_run(finished: Finished, to: Path, without: tuple[str, ...]) -> Finished:
    """The finished study in another folder, less some of its files.

    Large files are linked: jobs replace files, they do not write into them.
    """

    def copy(source: str, target: str) -> None:
        large = os.path.getsize(source) > 100_000
        (os.link if large else shutil.copy2)(source, target)

    shutil.copytree(finished.folder, to, copy_function=copy)
    shutil.rmtree(to / "logs")
    for pattern in without:
        found = list(to.glob(f"{RESULTS}/{pattern}"))
        assert found, pattern
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return finished._replace(folder=to)


class Started(NamedTuple):
    study: Finished
    process: subprocess.Popen[bytes]
    output: Path

    def end(self, hit: dict[str, SlurmJob]) -> Run:
        """Wait for it."""
        returncode = self.process.wait(timeout=1800)
        text = self.output.read_text(encoding="utf-8")
        run = re.search("SLURM run ID: (.*)", text)
        jobs = [job for job in slurm_jobs() if run and job.run == run[1]]
        return Run(self.study, jobs, hit, returncode, text)


@contextlib.contextmanager
def started(study: Finished, *options: str | Path) -> Iterator[Started]:
    """Snakemake with the profile, and with the waits of a small cluster; gone in the end."""
    study.folder.mkdir(exist_ok=True)
    output = study.folder.with_name("output.txt")
    profile = study.workflow / "profiles" / "slurm"
    waits = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10")
    given = ("--profile", profile, "--configfile", study.config, *waits, "--jobs", "8", "--nocolor")
    with output.open("wb") as handle:
        process = subprocess.Popen(
            command(study.workflow, study.folder, *given, *options),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            cwd=study.folder,
            env=environment(),
        )
    try:
        yield Started(study, process, output)
    finally:
        process.kill()  # nothing, if it has ended
        process.wait()


def differing(run: Run, finished: Finished, made: list[str]) -> list[str]:
    """Files, and files of folders, that are not those of the local run, byte for byte."""
    files = [
        path.relative_to(finished.folder)
        for name in made
        for path in [finished.folder / name, *(finished.folder / name).rglob("*")]
        if path.is_file() and path.name != ".snakemake_timestamp" and not path.name.endswith(ENDING)
    ]
    assert files
    return [
        str(path)
        for path in files
        if (run.study.folder / path).read_bytes() != (finished.folder / path).read_bytes()
    ]
