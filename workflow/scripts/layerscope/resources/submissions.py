"""What a scheduler is sent, kind by kind, and which partition of a SLURM cluster takes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from layerscope.core.errors import UserError


@dataclass(frozen=True)
class Submission:
    """What a scheduler is sent as one job: a job of the study, or a group of them."""

    name: str  # of the rule, or of the group with the wildcards of its rules
    jobs: int
    threads: int
    resources: tuple[Mapping[str, Any], ...]  # at each attempt


#: The partition that a job goes to, by threads and resources, and whether it fits there; "" if none
#: is chosen.
Choose = Callable[[int, Mapping[str, Any]], tuple[str, bool]]


@dataclass(frozen=True)
class Kind:
    """All submissions of one name: the largest of each number at each attempt."""

    name: str
    count: int
    jobs: int
    gpus: int
    mem_mb: tuple[int, ...]
    minutes: tuple[int, ...]
    partitions: tuple[str, ...]  # at the first attempt
    unfit: int | None  # the first attempt at which one of them fits nowhere


def partition_file(engine: Mapping[str, Any]) -> str | None:
    """The file of partitions that SLURM's plugin reads with such settings."""
    found = engine.get("partition_config") or os.environ.get("SNAKEMAKE_SLURM_PARTITIONS")
    return str(found) if found else None


def partitions_of(path: str | None) -> Choose | None:
    """How SLURM's plugin of Snakemake chooses among the partitions of a file; None without one.

    Raises:
        UserError: the file cannot be read as one of partitions.
    """
    if path is None:
        return None
    from snakemake_executor_plugin_slurm.partitions import read_partition_file
    from snakemake_interface_common.exceptions import WorkflowError

    try:
        found = read_partition_file(Path(path))
    except (WorkflowError, AttributeError, KeyError, TypeError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{path}: {problem}; allowed: partitions and their limits") from None

    def choose(threads: int, resources: Mapping[str, Any]) -> tuple[str, bool]:
        job = SimpleNamespace(threads=threads, resources=resources)
        scores = {each.name: each.score_job_fit(job) for each in found}
        fitting = {name: score for name, score in scores.items() if score is not None}
        if named := str(resources.get("slurm_partition") or ""):
            return named, named in fitting or named not in scores
        return max(fitting, key=lambda name: fitting[name], default=""), bool(fitting)

    return choose


def kinds(submissions: Iterable[Submission], choose: Choose | None) -> list[Kind]:
    """Submissions by name, in their order."""
    by_name: dict[str, list[Submission]] = {}
    for each in submissions:
        by_name.setdefault(each.name, []).append(each)
    return [_kind(name, found, choose) for name, found in by_name.items()]


def _kind(name: str, found: Sequence[Submission], choose: Choose | None) -> Kind:
    def most(resource: str) -> tuple[int, ...]:
        attempts = zip(*(each.resources for each in found), strict=True)
        return tuple(max(int(asked.get(resource, 0)) for asked in each) for each in attempts)

    chosen = [
        [choose(each.threads, asked) if choose else ("", True) for asked in each.resources]
        for each in found
    ]
    attempts = enumerate(zip(*chosen, strict=True), start=1)
    return Kind(
        name=name,
        count=len(found),
        jobs=max(each.jobs for each in found),
        gpus=max(most("gpu")),
        mem_mb=most("mem_mb"),
        minutes=most("runtime"),
        partitions=tuple(sorted({first for (first, _), *_ in chosen if first})),
        unfit=next((n for n, each in attempts if not all(fits for _, fits in each)), None),
    )


def misfits(found: Iterable[Kind], path: str | None) -> list[str]:
    """A line for each kind that fits no partition, or not its own, with the first such attempt."""
    return [
        f"Warning: at attempt {kind.unfit}, {kind.name} asks for up to "
        f"{kind.minutes[kind.unfit - 1]:,} min, {kind.mem_mb[kind.unfit - 1]:,} MB and "
        f"{kind.gpus} GPUs, more than {path} allows. SLURM may reject it, or leave it pending "
        "forever. Correct the limits there, or ask for less with set-resources."
        for kind in found
        if kind.unfit is not None
    ]
