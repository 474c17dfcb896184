"""A SLURM for the tests of this folder, without which they are skipped, and what was run on it."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cluster
import pytest
from cluster import lab, missing
from running import Finished, Plan, plan
from runs import TUNED, Run, copy_run, started


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with (Path(tempfile.gettempdir()) / "layerscope-slurm-lab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one lab a machine: other tests wait for their turn
        lab("down")  # of a run of the tests that was killed
        lab("up")
        yield
        lab("down")


class Calm(NamedTuple):
    run: Run
    planned: Plan


#: All of one model on one task that puts results together, and a table.
TARGETS = [
    "results/miniature/tables/pretraining.parquet",
    *(
        f"results/miniature/{kind}/hpo-nli/gpt-tiny.{ending}"
        for kind, ending in (
            ("scores", "json"),
            ("parts/probes", "parquet"),
            ("parts/attention", "parquet"),
        )
    ),
]
ON_GPU = ("finetune", "extract_base", "extract_finetuned")


#: What is made anew for them: two of four variants, one of them fine-tuned. Data, a corpus and
#: pre-training are made where the faults are.
REMOVED = (
    *(target.removeprefix("results/miniature/") for target in TARGETS),
    *(f"*/hpo-nli/gpt-tiny/{variant}*" for variant in ("pretrained", "f50-s2")),
)


def _calm(study: Finished) -> Calm:
    """One model on one task, from its training to what puts its results together."""
    planned = plan(study.workflow, study.folder, study.config, "--cores", "1", *TARGETS)
    gpus = [f"{rule}:gpu=1" for rule in ON_GPU]
    with started(study, "--set-resources", *gpus, "--", *TARGETS) as snakemake:
        return Calm(snakemake.end({}), planned)


def _stopped(study: Finished) -> Run:
    """Two fine-tunings; one meets a fault."""
    options = ("--retries", "0", "--keep-going", "--", TUNED[1], TUNED[3])
    with started(study, *options) as snakemake:
        killed, program = cluster.at_work("finetune_wildcards_hpo-nli_bert-tiny_50_2")
        os.kill(program, signal.SIGKILL)
        return snakemake.end({"killed": killed})


@pytest.fixture(scope="session")
def two_runs(
    slurm: None, finished: Finished, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Calm, Run]:
    """Side by side on the same cluster."""
    quiet = copy_run(finished, tmp_path_factory.mktemp("calm") / "run", REMOVED)
    hurt = copy_run(
        finished, tmp_path_factory.mktemp("stopped") / "run", ("finetuned/hpo-nli/*/*",)
    )
    with ThreadPoolExecutor() as pool:
        calm, stopped = pool.submit(_calm, quiet), pool.submit(_stopped, hurt)
        return calm.result(), stopped.result()


@pytest.fixture(scope="session")
def calm(two_runs: tuple[Calm, Run]) -> Calm:
    return two_runs[0]


@pytest.fixture(scope="session")
def stopped(two_runs: tuple[Calm, Run]) -> Run:
    return two_runs[1]
