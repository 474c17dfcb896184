"""Whether SLURM would accept a job: `sbatch --test-only`, with the options of the job."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from layerscope.core.errors import UserError
from layerscope.resources.submissions import Choose, Submission

#: What `sbatch` says where it reaches no controller, or does not know of any.
_NO_ANSWER = ("Unable to contact slurm controller", "Could not establish a configuration source")


class Answer(NamedTuple):
    """What SLURM says to a kind of job at one attempt."""

    name: str
    attempt: int
    minutes: int
    partition: str  # empty: the site's default
    rejection: str  # in SLURM's own words; empty if it accepts the job


class _Resources(dict[str, Any]):
    """As Snakemake has them: by key, and as attributes."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def ask(
    submissions: Iterable[Submission], choose: Choose | None, engine: Mapping[str, Any]
) -> list[Answer]:
    """Ask SLURM for the longest job of each kind, at its first and at its last attempt.

    Args:
        submissions: all that would be sent.
        choose: finds their partitions.
        engine: settings of Snakemake's plugin for SLURM, by name.

    Raises:
        UserError: there is no `sbatch`, or SLURM does not answer it.
    """
    longest: dict[str, Submission] = {}
    for each in submissions:
        known = longest.setdefault(each.name, each)
        if each.resources[0].get("runtime", 0) > known.resources[0].get("runtime", 0):
            longest[each.name] = each
    found = []
    for each in longest.values():
        for attempt in sorted({1, len(each.resources)}):
            asked = each.resources[attempt - 1]
            partition, _ = choose(each.threads, asked) if choose else ("", True)
            said = _rejection(command(each.threads, asked, partition, engine))
            found.append(Answer(each.name, attempt, int(asked.get("runtime", 0)), partition, said))
    return found


def command(
    threads: int, resources: Mapping[str, Any], partition: str, engine: Mapping[str, Any]
) -> list[str]:
    """The command that tells whether a job would be accepted; the plugin makes its options."""
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    given = _Resources(resources)
    account = given.get("slurm_account")
    job = SimpleNamespace(threads=threads, resources=given, is_group=lambda: False)
    words = {
        "run_uuid": "check",
        "slurm_logfile": os.devnull,
        "comment_str": "check",
        "account": f"-A {shlex.quote(str(account))}" if account else "",
        "partition": f"-p {shlex.quote(partition)}" if partition else "",
        "workdir": os.getcwd(),
    }
    names = ("requeue", "no_requeue", "qos", "reservation")
    settings = SimpleNamespace(**{name: engine.get(name) for name in names})
    text = get_submit_command(job, words, settings=settings) + set_gres_string(job)
    program, *options = shlex.split(text)
    return [program, "--test-only", *options, "--wrap=true"]


def _rejection(words: list[str]) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=kept)
    except FileNotFoundError:
        raise UserError(
            f"{words[0]}: no such program; allowed: a login node of a SLURM cluster"
        ) from None
    said = " ".join(done.stderr.replace("sbatch: ", "").split())
    if done.returncode and any(text in said for text in _NO_ANSWER):
        raise UserError(
            f"SLURM does not answer: {said}; allowed: a node that reaches its controller"
        )
    return said or f"exit code {done.returncode}" if done.returncode else ""


def in_words(answers: Iterable[Answer]) -> str:
    """A line for each kind of job, with SLURM's words where it rejects one.

    Raises:
        UserError: the same text, if SLURM rejects a job; once, if it says the same of all.
    """
    by_name: dict[str, list[Answer]] = {}
    for each in answers:
        by_name.setdefault(each.name, []).append(each)
    width = max(map(len, by_name), default=0)
    lines = []
    for name, found in by_name.items():
        rejected = next((each for each in found if each.rejection), None)
        shown = rejected or found[0]
        place = shown.partition or "the default partition"
        asked = f"{name:{width}}  {shown.minutes:>6,} min in {place}"
        at = f"rejected at attempt {shown.attempt}: {shown.rejection}" if rejected else "accepted"
        lines.append(f"{asked}: {at}")
    text = "\n".join(lines) or "No job would be submitted: all have run."
    said = {each.rejection for found in by_name.values() for each in found}
    if len(said) == 1 and "" not in said:
        raise UserError(f"SLURM rejects every job of this study: {said.pop()}")
    if said - {""}:
        raise UserError(f"SLURM rejects jobs of this study.\n{text}")
    return text
