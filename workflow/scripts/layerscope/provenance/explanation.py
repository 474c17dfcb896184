"""Why jobs would run, in words: what they would be given now, compared with their records.

Snakemake says which jobs run, and for a reason such as "params have changed". Records say what a
job was given, so the two together name the setting, the module, the package or the file.
"""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from layerscope.core.errors import printable
from layerscope.core.lineage import ASIDE
from layerscope.core.wording import counted, few
from layerscope.provenance.differences import differences
from layerscope.provenance.planned import FOLLOWS, Planned
from layerscope.run_records.content import Record, package_of
from layerscope.run_records.recorder import options_of, take_job
from layerscope.runtime.arguments import words_of

#: Kinds of causes in the order in which they are reported, with the title of each.
KINDS = {
    "setting": "Because a setting changed",
    "code": "Because code changed",
    "package": "Because a package changed",
    "input": "Because an input changed",
    "touched": "Because an input is newer, with unchanged content (docs/reruns.md: copies)",
    "read": "Because the set of input files changed",
    "command": "Because the rule's command changed",
    "environment": "Because the software environment changed",
    "stopped": "Because the last run failed or was interrupted",
    "missing": "Because an output is missing",
    "new": "Because the job has never run",
    "unknown": "Because Snakemake says so (no run record explains why)",
}
_TRANSIENT = "Because a temporary output is needed again"
_FOLLOWING = "Because they depend on these"
_WIDTH = 100
#: How Snakemake begins a reason that is not about another job.
_REASONS = (
    "Forced execution",
    "Missing output files",
    "Incomplete output files",
    "Updated input files",
    "Set of input files has changed",
    "Code has changed",
    "Params have changed",
    "Software environment definition has changed",
)


class Cause(NamedTuple):
    """One reason why a job itself would run; jobs with the same `text` are reported together."""

    kind: str
    text: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What is known about a job that would run, besides Snakemake's reason."""

    record: Record | None  # of its last run
    modules: Mapping[str, str] = field(default_factory=dict)  # digests of its code now
    packages: Mapping[str, str] = field(default_factory=dict)  # versions now of those it reads
    python: str = ""  # version now
    missing: tuple[str, ...] = ()  # outputs that are not there
    digests: Mapping[str, str] = field(default_factory=dict)  # of updated inputs


@cache  # splitting a command is slow, and asked for more than once a job
def program_of(command: str) -> tuple[str, list[str], dict[str, Any]]:
    """Program, arguments and job (see `run_records.recorder`) of a rule's shell command."""
    # The last redirection is the rule's; texts of users may contain others.
    words = words_of(command.rpartition(" > ")[0] or command)
    arguments, job = take_job(words[2:])
    return Path(words[1]).stem, arguments, job or {}


def causes(job: Planned, facts: Facts) -> list[Cause]:
    """Why a job itself would run; empty if it only depends on others that would."""
    record = facts.record
    follows = FOLLOWS in job.reason or not job.command
    if record is None:
        if facts.missing:
            return [Cause("new")]
        return [] if follows else [Cause("unknown", _in_short(job.reason))]
    if record.get("exit") != 0 and not follows:
        return [Cause("stopped", _ending(record))]
    found = [*changed_since(job, record, facts), *_inputs(job, record, facts)]
    if "Missing output files" in job.reason:
        temporary = {each["path"] for each in record["outputs"] if each.get("temporary")}
        gone = tuple(path for path in facts.missing if path not in temporary)
        if gone:
            found.append(Cause("missing", paths=gone))
        follows = follows or not gone
    if not found and not follows:
        found = [_by_snakemake(job)]
    return found


def changed_since(job: Planned, record: Record, facts: Facts) -> list[Cause]:
    """In which settings, code and packages a job differs from its record."""
    return [*_settings(job, record), *_code(record, facts), *_packages(record, facts)]


def _ending(record: Record) -> str:
    code = record.get("exit")
    if code is None:
        return "it was killed, or is running elsewhere"
    return f"it was terminated (exit {code})" if code > 128 else f"it failed (exit {code})"


def _settings(job: Planned, record: Record) -> list[Cause]:
    places = {*job.inputs, *job.outputs}
    places |= {each["path"] for each in (*record["inputs"], *record["outputs"])}
    places |= {os.path.dirname(path) for path in places}

    before = record["parameters"]
    now = options_of(program_of(job.command)[1]) if job.command else {}
    # An option that names files counts by the files; without any left it has no value at all.
    aside = {name for name, value in (*before.items(), *now.items()) if _is_of(value, places)}
    aside |= ASIDE
    changed = differences(_without(before, aside), _without(now, aside))
    short = [text.removeprefix("settings.").removeprefix("configuration.") for text in changed]
    return [Cause("setting", ", ".join(short))] if short else []


def _without(parameters: Mapping[str, Any], aside: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name not in aside}


def _is_of(value: Any, places: Collection[str]) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(
        isinstance(each, str) and os.path.normpath(each.rpartition("=")[2]) in places  # NAME=PATH
        for each in values
    )


def _code(record: Record, facts: Facts) -> list[Cause]:
    before, now = record["code"]["modules"], facts.modules
    changed = sorted(name for name in before.keys() & now.keys() if before[name] != now[name])
    parts = [few(changed)] if changed else []
    parts += [f"{few(sorted(now.keys() - before.keys()))} new"] * bool(now.keys() - before)
    parts += [f"{few(sorted(before.keys() - now.keys()))} gone"] * bool(before.keys() - now)
    was = str(record.get("versions", {}).get("python", ""))
    if parts and _minor(was) != _minor(facts.python):
        # Syntax trees differ between minor versions, even those of unedited modules.
        parts = [f"Python {_minor(was)} -> {_minor(facts.python)}"]
    return [Cause("code", ", ".join(parts))] if parts else []


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _packages(record: Record, facts: Facts) -> list[Cause]:
    before = {}
    for each in record["inputs"]:
        name = package_of(each)
        if name:
            before[name] = each["path"].split()[2]
    changed = differences(before, dict(facts.packages))
    return [Cause("package", ", ".join(changed))] if changed else []


def _inputs(job: Planned, record: Record, facts: Facts) -> list[Cause]:
    before = {each["path"]: each["sha256"] for each in record["inputs"] if not package_of(each)}
    now = {os.path.normpath(path) for path in job.inputs}
    found = []
    updated = [os.path.normpath(path) for path in job.updated]
    same = tuple(p for p in updated if p in before and before[p] == facts.digests.get(p))
    changed = tuple(p for p in updated if p not in same)
    if changed:
        found.append(Cause("input", paths=changed))
    if same:
        found.append(Cause("touched", paths=same))
    if "Set of input files has changed" in job.reason:
        more, fewer = sorted(now - before.keys()), sorted(before.keys() - now)
        if more:
            found.append(Cause("read", "now also", tuple(more)))
        if fewer:
            found.append(Cause("read", "no longer", tuple(fewer)))
    return found


def _by_snakemake(job: Planned) -> Cause:
    if "Code has changed" in job.reason:
        return Cause("command")
    if "Software environment" in job.reason:
        return Cause("environment")
    return Cause("unknown", _in_short(job.reason))


def _in_short(reason: str) -> str:
    """Snakemake's reason without the values that it appends."""
    found = [words for words in _REASONS if reason.startswith(words) or f"; {words}" in reason]
    return "; ".join(words.lower() for words in found)


def explanation(jobs: Iterable[tuple[Planned, Facts]], total: int) -> str:
    """All jobs that would run, by cause, as text for a terminal.

    Args:
        jobs: what Snakemake would run, with what is known of each.
        total: number of jobs of the whole study.
    """
    jobs = list(jobs)
    if not jobs:
        return f"Nothing would run: all {total} jobs are done."
    told: list[tuple[Planned, Cause]] = []
    following: Counter[str] = Counter()
    transient: Counter[str] = Counter()
    for job, facts in jobs:
        own = causes(job, facts)
        told += [(job, cause) for cause in own]
        if not own:
            again = "Missing output files" in job.reason and facts.record is not None
            (transient if again else following)[job.rule] += 1
    changed = len(jobs) - following.total() - transient.total()
    lines = [
        f"{len(jobs)} of {total} jobs would run: {changed} because of a change, "
        f"{len(jobs) - changed} because of others.",
        *paragraphs(told),
    ]
    for title, counts in ((_TRANSIENT, transient), (_FOLLOWING, following)):
        if counts:
            text = ", ".join(f"{rule} {number}" for rule, number in sorted(counts.items()))
            lines += ["", title, wrapped(text)]
    return "\n".join(map(printable, "\n".join(lines).split("\n")))


def paragraphs(found: Iterable[tuple[Planned, Cause]]) -> list[str]:
    """Lines of jobs with their causes: a paragraph a kind, a line a rule and difference."""
    told: dict[tuple[str, str, str], list[tuple[Planned, Cause]]] = {}
    for job, cause in found:
        told.setdefault((cause.kind, job.rule, cause.text), []).append((job, cause))
    lines = []
    for kind, title in KINDS.items():
        groups = sorted(key for key in told if key[0] == kind)
        if groups:
            lines += ["", title, *(_line(key[1], key[2], told[key]) for key in groups)]
    return lines


def _line(rule: str, text: str, told: Sequence[tuple[Planned, Cause]]) -> str:
    number = f"({counted(len(told), 'job')})"
    name = ", ".join([rule, *_shared([job.wildcards for job, _ in told])])
    paths = sorted({path for _, cause in told for path in cause.paths})
    said = " ".join([*([text] if text else []), *([few(paths)] if paths else [])])
    return wrapped(f"{name} {number}" + (f": {said}" if said else ""))


def _shared(wildcards: Sequence[Mapping[str, str]]) -> list[str]:
    """Values of wildcards that all jobs have, written as in names of files."""
    prefixes = {"percent": "f", "seed": "s"}
    return [
        f"{prefixes.get(name, '')}{value}"
        for name, value in wildcards[0].items()
        if all(other.get(name) == value for other in wildcards)
    ]


def wrapped(text: str) -> str:
    """A text in lines for a terminal, indented."""
    return textwrap.fill(
        text, _WIDTH, initial_indent="  ", subsequent_indent="    ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
