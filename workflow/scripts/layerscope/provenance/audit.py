"""Audit of results: all they were made from, down to raw data, and whether all of it holds.

An audit goes from a result to the job that made it, on to that job's inputs, and so on. Everything
on the way is hashed anew and held against the run records, and these against one another, the
present commit and the configuration of now.

Tables hold the rows of all tasks, each made from that task alone, and a figure of one task draws
its rows only: from such a figure an audit goes to the results of its task.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from layerscope.config.targets import CONFIGURATION
from layerscope.core.errors import UserError
from layerscope.core.wording import counted, few
from layerscope.provenance.checks import (
    FIGURES,
    Finding,
    check_code,
    check_content,
    check_copies,
    check_figure,
    check_input,
    check_log,
    check_raw,
    check_record,
    check_witnesses,
)
from layerscope.provenance.claims import ONLY_RECORDED
from layerscope.provenance.elsewhere import is_caption, is_elsewhere, lacks_checkout
from layerscope.provenance.expected import Expected, expected
from layerscope.provenance.outside import all_outside, what_is
from layerscope.provenance.present import Code, python_of, stale_settings
from layerscope.provenance.studies import Kept, Study
from layerscope.run_records.content import Entry, Record, output_entry

#: Where everything is made by jobs; a user's own files may lie elsewhere below `resources`.
MADE = ("results/", "resources/models/", "resources/datasets/")


class Part(NamedTuple):
    """A result or raw data on the way, and what does not hold of it."""

    path: str
    entry: Entry  # bytes, sha256, …, as its job left it
    made: Kept | None  # None for raw data, and for files of unknown origin
    findings: list[Finding]

    @property
    def inputs(self) -> list[str]:
        """Paths of what it was made from."""
        return [entry["path"] for entry in self.made.record["inputs"]] if self.made else []

    @property
    def task(self) -> str | None:
        """The one task whose result it is, if it is of one."""
        return _task(self.made)


class Audit(NamedTuple):
    """What an audit saw."""

    study: Study
    targets: list[str]
    parts: dict[str, Part]  # each once, from the targets down
    general: list[Finding]  # of no single part
    commit: str | None
    outside: list[str]  # in the study's folder, and not looked at
    unknown: list[str]  # what cannot be verified, a sentence each
    left_over: list[str]  # results that the configuration no longer asks for

    def inputs_of(self, path: str, task: str | None) -> list[str]:
        """What a result was made from, as far as results of a task depend on it.

        Args:
            path: of a part.
            task: of the result whose ancestry is followed; None: of all tasks.
        """
        part = self.parts[path]
        return [name for name in part.inputs if concerns(self.study, part.made, name, task)]

    @property
    def findings(self) -> list[Finding]:
        """All that does not hold, each once."""
        parts = [finding for part in self.parts.values() for finding in part.findings]
        return list(dict.fromkeys([*self.general, *parts]))


def _task(made: Kept | None) -> str | None:
    return made.record["wildcards"].get("task") if made else None


def concerns(study: Study, reader: Kept | None, path: str, task: str | None) -> bool:
    """Whether an input matters to results of a task: not if a table took it for another task.

    Args:
        study: with its records.
        reader: the job that read it.
        path: of the input.
        task: None if all tasks matter.
    """
    return task is None or _task(reader) is not None or _task(study.made.get(path)) in (None, task)


def audit(study: Study, targets: Iterable[str], code: Code, below: str | None = None) -> Audit:
    """Audit some results of a study.

    Args:
        study: with its records.
        targets: paths of results from the study's root, outputs of jobs or files in such a folder.
        code: what the results should be made by.
        below: a folder, from the study's root, in which to look for what no job made, too.
    """
    targets = [_output(study, target) for target in targets]
    general = list(_settings(study))
    plan = expected(study)
    general += [
        Finding(study.named(path), "record", reason)
        for path, reason in study.broken.items()
        if not path.is_relative_to(study.root / "resources")
    ]
    if below is not None:
        general += _orphans(study, below)
        if isinstance(plan, Expected):
            general += [each for each in plan.missing(study) if _is_in(each.path, below)]
    tasks = {_task(study.made.get(target)) for target in targets}
    task = tasks.pop() if len(tasks) == 1 else None
    parts: dict[str, Part] = {}
    raw: dict[str, Entry] = {}
    waiting = list(reversed(targets))
    while waiting:
        path = waiting.pop()
        kept = study.made.get(path)
        if path in parts or (kept is None and path in raw):
            continue
        if kept is None:
            parts[path] = Part(path, {}, None, list(_orphan(path)))
            continue
        parts[path] = part = _part(study, path, kept, code, plan)
        for entry in kept.record["inputs"]:
            if not concerns(study, kept, entry["path"], task):
                continue
            maker = study.made.get(entry["path"])
            part.findings.extend(check_input(path, kept.record, entry, maker))
            if maker is None:
                first = raw.setdefault(entry["path"], entry)
                if first["sha256"] != entry["sha256"]:
                    part.findings.append(_two_versions(path, entry))
            else:
                waiting.append(entry["path"])
    for path, entry in raw.items():
        parts[path] = Part(path, entry, None, list(_raw(study, path, entry)))
    outside = all_outside(study) if below == f"results/{study.name}" else []
    records = [part.made.record for part in parts.values() if part.made]
    unknown = [*_not_here(study, parts), *_unknown(records, code, plan), *ONLY_RECORDED]
    found = plan.left_over(study) if below is not None and isinstance(plan, Expected) else []
    left_over = [path for path in found if _is_in(path, str(below))]
    return Audit(study, targets, parts, general, code.commit, outside, unknown, left_over)


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _not_here(study: Study, parts: Mapping[str, Part]) -> Iterator[str]:
    """What could be verified where the checkout is that the study was run from."""
    files = _absent_configuration(study)
    if files:
        yield (
            f"The study cannot be compared with its configuration files, which are not here: "
            f"{few(files)}. Its settings are in {CONFIGURATION}."
        )
    captions = [path for path in parts if is_caption(study, path) and is_elsewhere(study, path)]
    if captions:
        yield (
            f"Captions in the report are known by their digests alone, since they are not here: "
            f"{few(captions)}."
        )


def _absent_configuration(study: Study) -> list[str]:
    """Configuration files that were left where the study was run."""
    kept = study.made.get(f"results/{study.name}/{CONFIGURATION}")
    files = (kept.record.get("configuration") or {}).get("files", ()) if kept else ()
    return [
        file
        for file in files
        if not study.place(file).is_file() and (file in study.left_out or lacks_checkout(study))
    ]


def _unknown(records: list[Record], code: Code, plan: Expected | str) -> Iterator[str]:
    """What cannot be verified here, and could elsewhere."""
    if isinstance(plan, str):
        yield f"What the study should contain is unknown, and so is what is missing: {plan}."
    edited = sum(record["dirty"] is not False for record in records)
    if edited:
        yield (
            f"The records of {counted(edited, 'result')} name no commit, or one with edits: "
            "whether the code was that of a commit is unknown."
        )
    others = Counter(python_of(record) for record in records if not code.reads(record))
    for python, count in sorted(others.items()):
        yield (
            f"The records of {counted(count, 'result')} are of Python {python or '(unknown)'}, "
            "whose digests of code cannot be compared with those of Python "
            f"{'.'.join(code.python())}, which runs this audit: whether the "
            "code was the present one is unknown."
        )
    commits = {record["commit"] for record in records if record["commit"]}
    for commit in sorted(commit for commit in commits if code.at(commit) is None):
        yield f"Commit {commit[:12]}, which records name, is not here to compare with."


def _two_versions(path: str, entry: Entry) -> Finding:
    return Finding(
        path, "input", f"made from a different version of {entry['path']} than other results"
    )


def _output(study: Study, path: str) -> str:
    """The job output that a path is, or is inside; the path itself if there is none."""
    for candidate in (path, *map(str, Path(path).parents)):
        if candidate in study.made:
            return candidate
    return path


def _part(study: Study, path: str, kept: Kept, code: Code, plan: Expected | str) -> Part:
    """A result, with all checks but those of its inputs."""
    record = kept.record
    entry = output_entry(record, path) or {}
    findings = [*check_record(path, kept, study), *check_copies(record, study)]
    if record["exit"] == 0:
        if not is_elsewhere(study, path):
            findings += _contents(path, kept, study, code)
        if entry.get("temporary") and isinstance(plan, Expected):
            findings += plan.check_temporary(study.named(kept.file), path, record)
        findings += check_log(record, study)
        findings += check_code(path, record, code)
    return Part(path, entry, kept, findings)


def _contents(path: str, kept: Kept, study: Study, code: Code) -> Iterator[Finding]:
    """Whether a result is what its job left, and says the same as the job's record."""
    there = study.place(path)
    changed = list(check_content(path, there, output_entry(kept.record, path) or {}))
    yield from changed
    yield from check_figure(path, there, kept.record)
    if not changed and there.is_file():
        yield from check_witnesses(study.named(kept.file), there, kept.record, code)


def _orphan(path: str) -> Iterator[Finding]:
    yield Finding(path, "orphan", "no job made it")


def _raw(study: Study, path: str, entry: Entry) -> Iterator[Finding]:
    """What does not verify about an input without a record: raw data, or an orphan."""
    if is_elsewhere(study, path):
        return
    if not path.startswith(MADE):
        yield from check_raw(entry, study, "the caption" if is_caption(study, path) else "raw data")
    elif entry["lineage"] is None:
        yield from _orphan(path)


def _settings(study: Study) -> Iterator[Finding]:
    """Whether the study's configuration is the one that it was run with."""
    path = f"results/{study.name}/{CONFIGURATION}"
    kept = study.made.get(path)
    if kept is None:
        there = os.path.lexists(study.place(path))
        message = "no job made it" if there else "neither it nor its record exists"
        yield Finding(path, "orphan" if there else "missing", message)
        return
    yield from check_record(path, kept, study)
    if kept.record["exit"] != 0:
        return
    changed = list(check_content(path, study.place(path), output_entry(kept.record, path) or {}))
    yield from changed
    told = kept.record.get("configuration")
    if told is None:
        message = "edited: it does not say what the configuration was read from"
        yield Finding(study.named(kept.file), "record", message)
    elif not changed and not _absent_configuration(study):
        files = ", ".join(told["files"])
        try:
            lines = stale_settings(study.root, study.place(path), told)
        except UserError as error:
            reason = " ".join(str(error).split())
            yield Finding(files, "settings", f"it cannot be compared: {reason}")
            return
        for line in lines:
            yield Finding(files, "settings", f"configured differently now: {line}")


def _orphans(study: Study, below: str) -> Iterator[Finding]:
    """Files in a folder of the study that no record lists."""
    records = {kept.file for kept in study.made.values()} | study.broken.keys()
    for folder, folders, names in os.walk(study.place(below)):
        here = study.named(folder)
        own = [name for name in sorted(folders) if not _known(study, f"{here}/{name}")]
        folders[:] = [name for name in own if not os.path.islink(f"{folder}/{name}")]
        for name in own:
            if name not in folders:
                yield Finding(f"{here}/{name}", "orphan", "a link to a folder, which no job made")
        for name in sorted(names):
            path = f"{here}/{name}"
            if not _known(study, path) and Path(folder, name) not in records:
                yield from _orphan(path)


def _known(study: Study, path: str) -> bool:
    return path in study.made or what_is(study, path) is not None


def whole(study: Study, code: Code, below: str | None = None) -> Audit:
    """Audit everything that a study has: all that its jobs made, and what no job made.

    Args:
        study: with its records.
        code: what the results should be made by.
        below: a folder of it, from its root, to which the results belong; None: all of it.
    """
    folder = below or f"results/{study.name}"
    own = [path for path in study.made if path.startswith(f"{folder}/")]
    return audit(study, sorted(own, key=_figures_first), code, folder)


def _figures_first(path: str) -> tuple[bool, str]:
    return Path(path).suffix not in FIGURES, path
