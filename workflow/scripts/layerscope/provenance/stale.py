"""Finished jobs that would be made otherwise now, though Snakemake sees no reason to run them.

Snakemake compares settings and code with notes in `.snakemake`. Where these were deleted, or
results were copied without them, it knows times of files alone. Run records lie beside the results.
"""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from layerscope.core.code import code_modules
from layerscope.provenance.explanation import (
    Cause,
    Facts,
    changed_since,
    paragraphs,
    program_of,
)
from layerscope.provenance.planned import Planned
from layerscope.run_records.content import (
    cached_sha256,
    package_of,
    read_record,
    record_path,
)

_BRIEF = 12  # lines


class Stale(NamedTuple):
    """Jobs that are out of date."""

    found: list[tuple[Planned, Cause]]  # with each cause
    again: list[str]  # rules and outputs that, forced, make all of them again


def facts_reader() -> Callable[[Planned], Facts]:
    """A function that reads what is known of a job: its record, and code and packages of now."""
    modules = cache(code_modules)
    digest = cache(cached_sha256)

    def facts(job: Planned) -> Facts:
        missing = tuple(path for path in job.outputs if not os.path.exists(path))
        if not job.outputs or " --record " not in job.command:  # of another workflow
            return Facts(None, missing=missing)
        program, _, given = program_of(job.command)
        return Facts(
            record=read_record(record_path(job.outputs[0])),
            modules=modules(program, given.get("part")),
            packages={name: _version(name) for name in given["packages"]},
            python=platform.python_version(),
            missing=missing,
            digests={os.path.normpath(path): digest(path) for path in job.updated},
        )

    return facts


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def stale(jobs: Iterable[tuple[Planned, Facts]]) -> Stale:
    """Jobs that would be made otherwise, with each cause.

    Args:
        jobs: those that Snakemake would not run, with what is known of each. Jobs without a record
            are passed over.
    """
    jobs = list(jobs)
    made = {
        entry["path"]: entry["sha256"]
        for _, facts in jobs
        for entry in (facts.record or {}).get("outputs", ())
        if "sha256" in entry
    }
    found: list[tuple[Planned, Cause]] = []
    for job, facts in jobs:
        record = facts.record
        if record is None or record.get("exit") != 0:
            continue
        causes = changed_since(job, record, facts)
        before = {each["path"]: each["sha256"] for each in record["inputs"] if not package_of(each)}
        causes += _other_inputs(job, before, made)
        found += [(job, cause) for cause in causes]
    return Stale(found, _to_force([job for job, _ in jobs], {job.outputs for job, _ in found}))


def _to_force(jobs: Sequence[Planned], found: Collection[tuple[str, ...]]) -> list[str]:
    """Rules, or outputs where not all jobs of a rule are out of date; what depends on them follows.

    Args:
        jobs: those that Snakemake would not run.
        found: outputs of each that is out of date.
    """
    readers: dict[str, list[Planned]] = {}
    for job in jobs:
        for path in job.inputs:
            readers.setdefault(os.path.normpath(path), []).append(job)
    follow: set[tuple[str, ...]] = set()
    waiting = [os.path.normpath(path) for outputs in found for path in outputs]
    while waiting:
        for job in readers.get(waiting.pop(), ()):
            if job.outputs not in follow:
                follow.add(job.outputs)
                waiting += map(os.path.normpath, job.outputs)
    of_rule: dict[str, list[Planned]] = {}
    for job in jobs:
        of_rule.setdefault(job.rule, []).append(job)
    again = []
    for rule, own in sorted(of_rule.items()):
        outputs = [job.outputs[0] for job in own if job.outputs in set(found) - follow]
        again += [rule] if len(outputs) == len(own) else outputs
    return again


def _other_inputs(job: Planned, before: Mapping[str, str], made: Mapping[str, str]) -> list[Cause]:
    now = {os.path.normpath(path) for path in job.inputs}
    more, fewer = tuple(sorted(now - before.keys())), tuple(sorted(before.keys() - now))
    other = tuple(
        path for path in sorted(now & before.keys()) if made.get(path, before[path]) != before[path]
    )
    return [
        *([Cause("read", "now also", more)] if more else []),
        *([Cause("read", "no longer", fewer)] if fewer else []),
        *([Cause("input", paths=other)] if other else []),
    ]


def stale_in_words(jobs: Stale, brief: bool = False) -> str:
    """What to tell of stale results, and how to make them again; empty if there are none.

    Args:
        jobs: as from `stale`.
        brief: where there is much to tell, leave it to `explain`.
    """
    if not jobs.found:
        return ""
    number = len({job.outputs for job, _ in jobs.found})
    verb, them = ("job is", "it") if number == 1 else ("jobs are", "them")
    lines = [
        f"{number} finished {verb} out of date, and Snakemake would not run {them}: its notes in "
        ".snakemake are gone, results were copied without them, --touch accepted the change, or "
        "--rerun-triggers leaves it out.",
    ]
    told = paragraphs(jobs.found)
    if brief and len(told) > _BRIEF:
        return "\n".join([*lines, *told[:_BRIEF], "  … and more: snakemake explain shows all."])
    lines += [
        *told,
        "",
        f"  To make them again, add: --forcerun {shlex.join(jobs.again)}",
    ]
    return "\n".join(lines)
