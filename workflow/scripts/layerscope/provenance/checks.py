"""What can be wrong with a result, its record and its inputs. Each check looks at one thing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from layerscope.core import lineage
from layerscope.core.errors import UserError
from layerscope.provenance.claims import (
    contradictions,
    disagreements,
    is_older,
    other_commit,
    other_writer,
)
from layerscope.provenance.present import Code
from layerscope.provenance.studies import Kept, Study
from layerscope.run_records.content import (
    Entry,
    PackageNotFoundError,
    Record,
    as_package,
    describe,
    output_entry,
    package_of,
    self_digest,
)

#: The empty file that Snakemake leaves in a folder that a job made.
SNAKEMAKE_S = ".snakemake_timestamp"
FIGURES = (".svg", ".pdf", ".png", ".html")


class Finding(NamedTuple):
    """Something that does not verify."""

    path: str
    kind: str  # missing, changed, orphan, record, failed, input, older, code, log, figure, settings
    message: str


def check_content(path: str, there: Path, entry: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether a file or folder is what its maker left.

    Args:
        path: its name.
        there: where it lies.
        entry: what the record of its job says of it.
    """
    if not os.path.exists(there):
        if not entry.get("temporary"):
            yield Finding(path, "missing", "it was made but no longer exists")
        return
    if "files" not in entry or not there.is_dir():
        yield from _check_file(path, there, entry)
        return
    recorded = {file["path"]: file for file in entry["files"]}
    for name in sorted(recorded.keys() | set(all_below(there))):
        whole = f"{path}/{name}"
        if not os.path.exists(there / name) and name in recorded:
            yield Finding(whole, "missing", "it was made but no longer exists")
        elif name not in recorded:
            yield Finding(whole, "orphan", "no job made it")
        else:
            yield from _check_file(whole, there / name, recorded[name])


def _check_file(path: str, there: Path, entry: Mapping[str, Any]) -> Iterator[Finding]:
    now = look(there)
    if isinstance(now, str):
        yield Finding(path, "changed", now)
    elif now["sha256"] != entry.get("sha256"):
        yield Finding(path, "changed", _other(now, entry))


def look(there: Path) -> Entry | str:
    """What a file or folder has now; in words why it cannot be read, if that is so."""
    try:
        return describe(there)
    except UserError as error:
        return str(error)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def all_below(top: Path) -> Iterator[str]:
    """All that a folder has at any depth but Snakemake's time stamp: hidden files and links too."""
    for folder, folders, names in os.walk(top):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in (*links, *names):
            if name != SNAKEMAKE_S or os.lstat(os.path.join(folder, name)).st_size:
                yield Path(folder, name).relative_to(top).as_posix()


def _other(now: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    return (
        f"changed by hand: sha256 {now['sha256'][:12]}, {now['bytes']} bytes; "
        f"its job left {str(entry.get('sha256'))[:12]}, {entry.get('bytes')} bytes"
    )


def check_record(path: str, kept: Kept, study: Study) -> Iterator[Finding]:
    """Whether a record is unedited, of a job that succeeded, and of this study."""
    record = kept.record
    file = study.named(kept.file)
    if record.get("digest") != self_digest(record):
        yield Finding(file, "record", "edited: its digest does not match its content")
    if record["exit"] is None:
        yield Finding(path, "failed", f"its job began {record['started']} and never ended")
    elif record["exit"] != 0:
        yield Finding(path, "failed", f"its job ended with exit code {record['exit']}")
    if not path.startswith("resources/") and record["study"] != study.name:
        yield Finding(file, "record", f"it belongs to study {record['study']}, not {study.name}")
    for contradiction in contradictions(record):
        yield Finding(file, "record", f"edited: {contradiction}")
    for disagreement in disagreements(record):
        yield Finding(file, "record", f"disagrees: {disagreement}")
    whole = lineage.lineage(
        record["rule"], record["parameters"], record["code"]["digest"], record["inputs"]
    )
    if whole != record["lineage"]:
        yield Finding(file, "record", "edited: its lineage does not follow from its content")


def check_copies(record: Record, study: Study) -> Iterator[Finding]:
    """Whether the records that a job left in several folders are the same."""
    for output in record["outputs"]:
        other = study.made.get(output["path"])
        if other is None or other.record != record:
            state = "is of another run" if other else "is gone"
            together = f"rule {record['rule']} made it with {record['outputs'][0]['path']}"
            message = f"the record in its folder {state}: {together}"
            yield Finding(output["path"], "record", message)


def check_log(record: Record, study: Study) -> Iterator[Finding]:
    """Whether the job's log exists and is unchanged; of all logs of a study, whether they do."""
    log = record["log"]
    folder = "/".join(str(log["path"]).split("/")[:2])
    if "sha256" not in log or folder in study.left_out:
        return
    there = study.place(log["path"])
    if not study.place(folder).exists():
        yield Finding(folder, "log", "all logs are missing")
        return
    if not there.is_file():
        yield Finding(log["path"], "log", "the log is missing")
        return
    now = look(there)
    if isinstance(now, str) or now["sha256"] != log["sha256"]:
        yield Finding(log["path"], "log", "the log was changed after its job ended")


def check_code(path: str, record: Record, code: Code) -> Iterator[Finding]:
    """Whether the present commit would make it with the same code, where this Python can tell."""
    if not code.reads(record):
        return
    then, now = record["code"]["modules"], code.modules(record["program"], record.get("part"))
    changed = [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    if changed:
        commit = f"commit {code.commit[:12]}" if code.commit else "the present code"
        yield Finding(path, "code", f"made by different code than {commit}: {', '.join(changed)}")


def check_witnesses(file: str, there: Path, record: Record, code: Code) -> Iterator[Finding]:
    """Whether a job's commit, and what it made, say the same as its record.

    Args:
        file: name of the record.
        there: where an output lies that is what the job left.
        record: the job's.
        code: with the commits at hand.
    """
    for contradiction in (other_writer(there, record), other_commit(record, code)):
        if contradiction is not None:
            yield Finding(file, "record", contradiction)


def check_input(
    path: str, record: Record, entry: Mapping[str, Any], maker: Kept | None
) -> Iterator[Finding]:
    """Whether an input is still what a job read.

    Args:
        path: the job's output.
        record: the job's.
        entry: what that says of the input.
        maker: the record of the job that made the input; None for raw data.
    """
    if maker is None:
        if entry["lineage"] is not None:
            message = "the record of the job that made it is missing"
            yield Finding(entry["path"], "orphan", message)
        return
    made = output_entry(maker.record, entry["path"])
    if made is None or made.get("sha256") != entry["sha256"]:
        message = (
            f"made from a different version of {entry['path']} (sha256 {entry['sha256'][:12]})"
        )
        yield Finding(path, "input", message)
    elif maker.record["lineage"] != entry["lineage"]:
        message = f"made when {entry['path']} came from other settings, code or inputs"
        yield Finding(path, "input", message)
    if is_older(record, maker.record):
        yield Finding(path, "older", f"older than {entry['path']}, which it was made from")


def check_raw(entry: Entry, study: Study, name: str) -> Iterator[Finding]:
    """Whether raw data, of an installed package or a file of the user's, is what was read.

    Args:
        entry: what the record of its reader says of it.
        study: with its records.
        name: what to call it.
    """
    package = package_of(entry)
    if package is None:
        there = study.place(entry["path"])
        if not os.path.exists(there):
            yield Finding(entry["path"], "missing", f"{name} is missing")
            return
        found = look(there)
        if isinstance(found, str):
            yield Finding(entry["path"], "changed", found)
        elif found["sha256"] != entry["sha256"]:
            yield Finding(entry["path"], "changed", f"{name} differs from what was read")
        return
    try:
        now = as_package(package)
    except PackageNotFoundError:
        yield Finding(entry["path"], "missing", "the package is no longer installed")
        return
    if now["path"] != entry["path"]:
        yield Finding(entry["path"], "changed", f"{now['path']} is installed now")
    elif now["sha256"] != entry["sha256"]:
        yield Finding(entry["path"], "changed", "files of the installed package were changed")


def check_figure(path: str, there: Path, record: Record) -> Iterator[Finding]:
    """Whether a figure carries the lineage in its record."""
    if there.suffix not in FIGURES or not there.is_file():
        return
    carried = lineage.marked(there.read_bytes())
    if carried is None:
        yield Finding(path, "figure", "it carries no lineage")
    elif carried != record["lineage"]:
        yield Finding(path, "figure", f"it comes from another run (lineage {carried[:12]})")
