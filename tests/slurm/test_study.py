"""A calm run on SLURM: tables as of a local run, few jobs, GPUs for jobs that ask for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from cluster import LAB, SlurmJob
from conftest import ON_GPU, TARGETS, Calm
from running import Finished, count, snakemake
from runs import differing

from layerscope.run_records.content import find_record

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

GPUS = 2  # of the lab, all of node1


def _of_rule(jobs: Iterable[SlurmJob], *rules: str) -> list[SlurmJob]:
    return [job for job in jobs if job.name.startswith(tuple(f"rule_{rule}" for rule in rules))]


def test_results_are_those_of_a_local_run(calm: Calm, finished: Finished) -> None:
    assert calm.run.returncode == 0, calm.run.output
    made = sorted({output for job in calm.planned for output in job.outputs})
    assert set(TARGETS) <= set(made)
    assert differing(calm.run, finished, made) == []


def test_records_are_of_the_node_and_of_the_same_lineage(calm: Calm, finished: Finished) -> None:
    nodes = {str(job.id): job.node for job in calm.run.jobs}
    used = set()
    for job in calm.planned:
        output = job.outputs[0]
        there, here = (
            find_record(folder / output) for folder in (calm.run.study.folder, finished.folder)
        )
        assert there is not None, output
        assert here is not None, output
        assert there["exit"] == 0
        assert there["lineage"] == here["lineage"]
        if job.rule == "fetch_model":  # where Snakemake itself runs
            assert there["slurm"] is None
            continue
        assert nodes[there["slurm"]["job"]] == there["slurm"]["node"]
        used.add(there["slurm"]["job"])
    assert used == nodes.keys()


def test_small_jobs_go_together(calm: Calm) -> None:
    """A job of SLURM for each costly one, for a variant's probes, for the rest of a stage."""
    counts = count(calm.planned)
    costly = sum(counts[rule] for rule in ON_GPU)
    assert len(_of_rule(calm.run.jobs, *ON_GPU)) == costly == 3
    assert len(_of_rule(calm.run.jobs, "probe")) == counts["probe"] / 2  # two in a variant
    rest = [job for job in calm.run.jobs if job not in _of_rule(calm.run.jobs, *ON_GPU, "probe")]
    # The task's scores, what tables have of the model, and tables.
    assert len(rest) == 3, [job.name for job in rest]
    assert len(calm.planned) == 12  # in 8 jobs of SLURM


def test_a_group_asks_for_what_its_largest_rule_needs(calm: Calm) -> None:
    for job in _of_rule(calm.run.jobs, "scores", "parts", "tables", "probe"):
        assert job.cpus == 1, job
        assert job.memory.endswith("M"), job
        assert int(job.memory[:-1]) <= 2000, job
    (parts,) = _of_rule(calm.run.jobs, "parts")
    assert 12 < parts.minutes < 20  # the time of all, and ten minutes once


def test_check_shows_what_slurm_would_reject(
    slurm: None, finished: Finished, tmp_path: Path
) -> None:
    """A wrong account, of one rule here: a run says nothing of it if the rule is in a group."""
    result = snakemake(
        *(finished.workflow, tmp_path, "check", "--configfile", finished.config),
        *("--profile", finished.workflow / "profiles" / "slurm"),
        *("--slurm-init-seconds-before-status-checks", "1"),
        *("--set-resources", "finetune:slurm_account=nobody", "finetune:gpu=1", "probe:gpu=1"),
    )
    assert result.returncode == 1
    rejected = "rejected at attempt 1: allocation failure: Invalid account or account/partition"
    assert re.search(rf"^finetune +11 min in gpu: {rejected}", result.stdout, re.MULTILINE)
    assert re.search(r"^probe_{task}_\S+ +13 min in gpu: accepted$", result.stdout, re.MULTILINE)
    assert re.search(r"^tables +48 min in cpu: accepted$", result.stdout, re.MULTILINE)


def test_logs_are_where_a_user_looks(calm: Calm) -> None:
    logs = list((calm.run.study.folder / "logs" / "slurm").rglob("*.log"))
    assert {int(path.stem) for path in logs} == {job.id for job in calm.run.jobs}
    for job in calm.run.jobs:
        assert f"{job.id}.log" in calm.run.output
    of_rules = [
        path
        for path in (calm.run.study.folder / "logs").rglob("*.log")
        if path.relative_to(calm.run.study.folder).parts[1] != "slurm"
    ]
    assert len(of_rules) == len(calm.planned)


def test_rules_that_ask_for_a_gpu_get_one_and_no_other_does(calm: Calm) -> None:
    on_gpu = _of_rule(calm.run.jobs, *ON_GPU)
    assert on_gpu
    for job in calm.run.jobs:
        expected = (1, "gpu", "node1") if job in on_gpu else (0, "cpu", job.node)
        assert (job.gpus, job.partition, job.node) == expected, job
    visible: dict[int, set[str]] = {job.id: set() for job in calm.run.jobs}
    for line in (LAB / "log" / "tasks").read_text().splitlines():
        job_id, _, devices = line.split()
        if int(job_id) in visible:
            visible[int(job_id)].add(devices)
    for job in calm.run.jobs:
        if job in on_gpu:
            assert visible[job.id] in ({"0"}, {"1"}), job
        else:
            assert visible[job.id] == {"-"}, job
    assert set().union(*(visible[job.id] for job in on_gpu)) == {"0", "1"}


def test_never_more_jobs_on_gpus_than_there_are_gpus(calm: Calm) -> None:
    on_gpu = _of_rule(calm.run.jobs, *ON_GPU)
    assert len(on_gpu) > GPUS
    # SLURM's times are whole seconds: one job ends and the next starts in the same one.
    most = max(
        sum(other.start <= job.start < other.end for other in on_gpu if other.start and other.end)
        for job in on_gpu
        if job.start
    )
    assert most == GPUS
