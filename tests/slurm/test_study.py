"""A calm run on SLURM: tables as of a local run, few jobs, GPUs for jobs that ask for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from cluster import LAB, SlurmJob, slurm_jobs
from running import Finished, Plan, count, plan, snakemake
from runs import copy_run, on_slurm

pytestmark = pytest.mark.xdist_group("slurm")

GPUS = 2  # of the lab, all of node1
ON_GPU = ("finetune", "extract_base", "extract_finetuned")
#: A sample and all that is made from it; one random control; what puts results together.
MISSING = (
    "samples/hpo-ner/f50-s1.parquet",
    *(f"{stage}/hpo-ner/*/f50-s1*" for stage in ("finetuned", "activations", "attention")),
    *(f"{stage}/hpo-ner/*/f50-s1*" for stage in ("predictions", "probes")),
    *(f"{stage}/hpo-ner/gpt-tiny/random*" for stage in ("activations", "attention", "probes")),
    "scores/hpo-ner",
    "tables",
    "figures",
)
TABLES = [f"results/miniature/tables/{name}.csv" for name in ("scores", "probes", "attention")] + [
    "results/miniature/tables/association.parquet",
    "results/miniature/figures/scores.svg",
    "results/miniature/figures/attention-hpo-ner.svg",
]


class Calm(NamedTuple):
    study: Finished
    planned: Plan
    jobs: list[SlurmJob]
    output: str


@pytest.fixture(scope="module")
def calm(slurm: None, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    folder = tmp_path_factory.mktemp("calm") / "run"
    study = copy_run(finished, folder, MISSING)
    gpus = [f"{rule}:gpu=1" for rule in ON_GPU]
    planned = plan(study.workflow, folder, study.config, "--cores", "1", *TABLES)
    before = slurm_jobs()
    result = snakemake(
        study.workflow, folder, *on_slurm(study), "--set-resources", *gpus, "--", *TABLES
    )
    assert result.returncode == 0, result.stdout
    jobs = [job for id_, job in slurm_jobs().items() if id_ not in before]
    return Calm(study, planned, jobs, result.stdout)


def _of_rule(jobs: Iterable[SlurmJob], *rules: str) -> list[SlurmJob]:
    return [job for job in jobs if job.name.startswith(tuple(f"rule_{rule}" for rule in rules))]


def test_results_are_those_of_a_local_run(calm: Calm, finished: Finished) -> None:
    made = {output for job in calm.planned for output in job.outputs}
    files = [
        path
        for output in sorted(made)
        for path in [finished.folder / output, *(finished.folder / output).rglob("*")]
        if path.is_file() and path.name != ".snakemake_timestamp"
    ]
    assert {path.suffix for path in files} >= {".csv", ".parquet", ".safetensors", ".svg"}
    assert [
        str(path)
        for path in files
        if _of_run(path, calm, finished).read_bytes() != path.read_bytes()
    ] == []


def _of_run(path: Path, calm: Calm, finished: Finished) -> Path:
    return calm.study.folder / path.relative_to(finished.folder)


def test_small_jobs_go_together(calm: Calm) -> None:
    """One job of SLURM for each costly one, for a variant's probes, for the rest of a stage."""
    counts = count(calm.planned)
    costly = sum(counts[rule] for rule in ON_GPU)
    probed = {(job.of("task"), job.of("model"), job.of("variant")) for job in calm.planned} - {
        (None, None, None)
    }
    groups = {job.name.split("_")[1] for job in calm.jobs} - {"finetune", "extract"}
    assert groups == {"data", "baseline", "probe", "report"}
    assert len(_of_rule(calm.jobs, *ON_GPU)) == costly
    assert len(_of_rule(calm.jobs, "probe")) == counts["probe"] / 2 < len(probed)
    assert len(calm.jobs) == costly + counts["probe"] / 2 + 3
    assert len(calm.jobs) < len(calm.planned) / 1.8


def test_a_group_asks_for_what_its_largest_rule_needs(calm: Calm) -> None:
    for job in _of_rule(calm.jobs, "report", "probe", "baseline", "data"):
        assert job.cpus == 1, job
        assert job.memory in ("1000M", "2000M"), job
    (report,) = _of_rule(calm.jobs, "report")
    (score, *_) = _of_rule(calm.jobs, "data")
    assert report.minutes > 10 * score.minutes  # the time of all


def test_logs_are_where_a_user_looks(calm: Calm) -> None:
    logs = list((calm.study.folder / "logs" / "slurm").rglob("*.log"))
    assert {int(path.stem) for path in logs} == {job.id for job in calm.jobs}
    for job in calm.jobs:
        assert f"{job.id}.log" in calm.output
    of_rules = list((calm.study.folder / "logs" / "miniature").rglob("*.log"))
    assert len(of_rules) == len(calm.planned)


def test_rules_that_ask_for_a_gpu_get_one_and_no_other_does(calm: Calm) -> None:
    on_gpu = _of_rule(calm.jobs, *ON_GPU)
    assert on_gpu
    for job in calm.jobs:
        expected = (1, "gpu", "node1") if job in on_gpu else (0, "cpu", job.node)
        assert (job.gpus, job.partition, job.node) == expected, job
    visible: dict[int, set[str]] = {job.id: set() for job in calm.jobs}
    for line in (LAB / "log" / "tasks").read_text().splitlines():
        job_id, _, devices = line.split()
        if int(job_id) in visible:
            visible[int(job_id)].add(devices)
    for job in calm.jobs:
        if job in on_gpu:
            assert visible[job.id] in ({"0"}, {"1"}), job
        else:
            assert visible[job.id] == {"-"}, job
    assert set().union(*(visible[job.id] for job in on_gpu)) == {"0", "1"}


def test_never_more_jobs_on_gpus_than_there_are_gpus(calm: Calm) -> None:
    on_gpu = _of_rule(calm.jobs, *ON_GPU)
    assert len(on_gpu) > GPUS
    # SLURM's times are whole seconds: one job ends and the next starts in the same one.
    most = max(
        sum(other.start <= job.start < other.end for other in on_gpu if other.start and other.end)
        for job in on_gpu
        if job.start
    )
    assert most == GPUS
