"""What a user meets when something breaks, tried on a real SLURM, and how a run ends then.

| fault | expected | seen: SLURM 22.05, snakemake-executor-plugin-slurm 2.8.0 |
|---|---|---|
| a node is drained | its jobs end there, others start elsewhere | so |
| the controller is away for 12 s | jobs run on, the accounting answers | so; nothing runs twice |
| a node dies | SLURM starts its jobs again, elsewhere | so, the same job; no retry is spent |
| a job is cancelled | Snakemake starts it again | so, as another job of SLURM |
| a job passes its time limit | ended, started again with more time | so: TIMEOUT |
| the last two without retries | the rest runs; job and logs are named | so |
| a program is killed, no retries | the same | so: FAILED |

Where a run goes on, its files are those of a local run, byte for byte.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cluster
import pytest
from cluster import SlurmJob, running, slurm_jobs, wait_for
from running import Finished, command, environment
from runs import copy_run, on_slurm

pytestmark = pytest.mark.xdist_group("slurm")

RESULTS = Path("results/miniature")
#: One fine-tuning has a minute at first, SLURM's least; all others have enough.
MINUTES = (
    "finetune:runtime=(1 if attempt == 1 else 6)"
    " if (wildcards.model, wildcards.seed) == ('gpt-tiny', '2') else 10"
)


@contextlib.contextmanager
def _snakemake(study: Finished, output: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("wb") as handle:
        process = subprocess.Popen(
            command(study.workflow, study.folder, *on_slurm(study), *options),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            cwd=study.folder,
            env=environment(),
        )
        try:
            yield process
        finally:
            process.kill()  # nothing, if it has ended
            process.wait()


def _program_of(name: str) -> tuple[SlurmJob, int]:
    """The job of this name, and the process of its program, when it works."""

    def find() -> tuple[SlurmJob, int] | None:
        job = running(name)
        process = cluster.program(job) if job else None
        return (job, process) if job and process else None

    return wait_for(find, f"the program of {name}")


def _running(name: str, node: str = "") -> SlurmJob:
    return wait_for(lambda: running(name, node), f"{name} to run on {node or 'any node'}")


class Run(NamedTuple):
    study: Finished
    hit: dict[str, SlurmJob]  # the job that each fault has met
    jobs: dict[int, SlurmJob]
    returncode: int
    output: str


# --- with retries --------------------------------------------------------------------------------

TUNED = [
    f"{RESULTS}/finetuned/hpo-nli/{model}/{variant}"
    for model in ("minilm", "gpt-tiny")
    for variant in ("f50-s1", "f50-s2")
]
MADE = [*TUNED, f"{RESULTS}/samples/hpo-nli/probe.parquet"]


@pytest.fixture(scope="module")
def troubled(slurm: None, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A part of the study from its beginning, with one fault after the other."""
    folder = tmp_path_factory.mktemp("troubled")
    study = finished._replace(folder=folder / "run")
    study.folder.mkdir()
    before = slurm_jobs()
    hit = {}
    options = ("--set-resources", MINUTES, "--", *MADE)
    with _snakemake(study, folder / "output.txt", *options) as process:
        hit["drained"] = _running("data_hpo-nli", "node1")
        cluster.update_node("node1", "drain")

        hit["away"], _ = _program_of("data_hpo-nli")
        cluster.restart_controller(seconds=12)

        hit["dead"] = _running("finetune_wildcards_hpo-nli_minilm", "node2")
        cluster.update_node("node1", "resume")
        cluster.kill_node("node2")
        cluster.start_node("node2")

        hit["cancelled"], _ = _program_of("finetune_wildcards_hpo-nli_gpt-tiny_50_1")
        cluster.cancel(hit["cancelled"])

        hit["late"], program = _program_of("finetune_wildcards_hpo-nli_gpt-tiny_50_2")
        os.kill(program, signal.SIGSTOP)  # it hangs
        process.wait(timeout=400)
    jobs = {id_: job for id_, job in slurm_jobs().items() if id_ not in before}
    return Run(study, hit, jobs, process.returncode, (folder / "output.txt").read_text())


def test_after_all_faults_the_study_is_complete(troubled: Run, finished: Finished) -> None:
    assert troubled.returncode == 0, troubled.output
    files = [
        path
        for made in [*MADE, f"{RESULTS}/data/hpo-nli", f"{RESULTS}/pretrained/gpt-tiny"]
        for path in [finished.folder / made, *(finished.folder / made).rglob("*")]
        if path.is_file() and path.name != ".snakemake_timestamp"
    ]
    assert len(files) > 20
    for path in files:
        found = troubled.study.folder / path.relative_to(finished.folder)
        assert found.read_bytes() == path.read_bytes(), found
    hidden = (troubled.study.folder / "results").rglob(".*")
    assert {path.name for path in hidden} <= {".snakemake_timestamp"}


def _namesakes(troubled: Run, fault: str) -> list[SlurmJob]:
    name = troubled.hit[fault].name
    return [job for id_, job in sorted(troubled.jobs.items()) if job.name == name]


def test_a_node_was_drained(troubled: Run) -> None:
    (job,) = _namesakes(troubled, "drained")
    assert (job.state, job.node, job.restarts) == ("COMPLETED", "node1", 0)
    assert troubled.hit["dead"].node == "node2"


def test_the_controller_was_away(troubled: Run) -> None:
    assert [(job.state, job.restarts) for job in _namesakes(troubled, "away")] == [("COMPLETED", 0)]
    assert "Falling back to 'sacct'" in troubled.output


def test_a_node_died(troubled: Run) -> None:
    """SLURM itself starts the job again; Snakemake waits for it."""
    job, *_ = _namesakes(troubled, "dead")
    assert job.restarts == 1
    assert job.start
    assert troubled.hit["dead"].start
    assert job.start > troubled.hit["dead"].start


def test_a_job_was_cancelled(troubled: Run) -> None:
    states = [job.state for job in _namesakes(troubled, "cancelled")]
    assert states == ["CANCELLED", "COMPLETED"]
    id_ = troubled.hit["cancelled"].id
    assert f"SLURM-job '{id_}' failed, SLURM status is: 'CANCELLED'" in troubled.output


def test_a_job_ran_out_of_time(troubled: Run) -> None:
    first, second = _namesakes(troubled, "late")
    assert (first.state, first.minutes) == ("TIMEOUT", 1)
    assert (second.state, second.minutes) == ("COMPLETED", 6)


# --- without -------------------------------------------------------------------------------------

FAILING = {
    "CANCELLED": "finetune_wildcards_hpo-nli_gpt-tiny_50_1",
    "TIMEOUT": "finetune_wildcards_hpo-nli_gpt-tiny_50_2",
    "FAILED": "finetune_wildcards_hpo-nli_minilm_50_1",
}
FINE = f"{RESULTS}/finetuned/hpo-nli/minilm/f50-s2"


@pytest.fixture(scope="module")
def stopped(slurm: None, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four fine-tunings; three meet a fault."""
    folder = tmp_path_factory.mktemp("stopped")
    study = copy_run(finished, folder / "run", ("finetuned/hpo-nli/*/*",))
    before = slurm_jobs()
    hit = {}
    options = ("--retries", "0", "--keep-going", "--set-resources", MINUTES, "--", *TUNED)
    with _snakemake(study, folder / "output.txt", *options) as process:
        hit["CANCELLED"], _ = _program_of(FAILING["CANCELLED"])
        cluster.cancel(hit["CANCELLED"])
        hit["TIMEOUT"], program = _program_of(FAILING["TIMEOUT"])
        os.kill(program, signal.SIGSTOP)
        hit["FAILED"], program = _program_of(FAILING["FAILED"])
        os.kill(program, signal.SIGKILL)
        process.wait(timeout=400)
    jobs = {id_: job for id_, job in slurm_jobs().items() if id_ not in before}
    return Run(study, hit, jobs, process.returncode, (folder / "output.txt").read_text())


def test_without_retries_it_stops(stopped: Run, finished: Finished) -> None:
    assert stopped.returncode == 1
    assert {job.name: job.state for job in stopped.jobs.values() if job.state != "COMPLETED"} == {
        f"rule_{name}": state for state, name in FAILING.items()
    }
    weights = f"{FINE}/model.safetensors"
    found = (stopped.study.folder / weights).read_bytes()
    assert found == (finished.folder / weights).read_bytes()


@pytest.mark.parametrize("state", FAILING)
def test_it_names_the_job_and_its_logs(state: str, stopped: Run) -> None:
    job = stopped.hit[state]
    start = f"SLURM-job '{job.id}' failed, SLURM status is: '{state}'"
    (message,) = [text for text in stopped.output.split("Error in rule ") if start in text]
    assert message.startswith("finetune:")
    *_, task, model, percent, seed = job.name.split("_")
    output = f"{RESULTS}/finetuned/{task}/{model}/f{percent}-s{seed}"
    assert f"output: {output}" in message
    assert not (stopped.study.folder / output).exists()
    assert f"log: logs/miniature/finetune/{task}/{model}/f{percent}-s{seed}.log" in message
    log = (
        stopped.study.folder
        / f"logs/slurm/rule_finetune/{task}_{model}_{percent}_{seed}/{job.id}.log"
    )
    assert str(log) in message
    assert log.is_file()
