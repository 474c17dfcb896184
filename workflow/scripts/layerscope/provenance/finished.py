"""The finished jobs of a study: those that made its results, all the way down to the raw data.

What an earlier configuration left in the same folder is none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from layerscope.core.errors import UserError
from layerscope.provenance.studies import Kept, Study
from layerscope.run_records.content import Entry, Record, output_entry, package_of, self_digest

_AGAIN = "allowed: a study that was run to its end with this configuration"


def job_name(record: Mapping[str, Any]) -> str:
    """Rule and wildcards, which name one job of a study."""
    wildcards = (f"{name}={value}" for name, value in sorted(record["wildcards"].items()))
    return " ".join([str(record["rule"]), *wildcards])


def finished_jobs(study: Study, targets: Iterable[str]) -> list[Kept]:
    """The jobs that `targets` were made by, directly or through others, in order of their start.

    Args:
        study: with its records.
        targets: paths from the study's root.

    Raises:
        UserError: the study has no records; a target has none, nor an input that a job must have
            made; a job failed or did not end; a record was changed; jobs read different things
            under one name.
    """
    if not study.made:
        raise UserError(f"{study.results}: no run record; {_AGAIN}")
    chosen = set()
    read: dict[str, str] = {}
    waiting = list(targets)
    missing = [path for path in waiting if path not in study.made]
    if missing:
        more = f" (nor {len(missing) - 1} others)" if missing[1:] else ""
        raise UserError(f"{missing[0]}: no job of the study made it{more}; {_AGAIN}")
    while waiting:
        kept = study.made[waiting.pop()]
        record = kept.record
        if _key(record) in chosen:
            continue
        chosen.add(_key(record))
        _check_job(kept)
        for entry in record["inputs"]:
            path = entry["path"]
            maker = study.made.get(path)
            if maker is not None:
                made = output_entry(maker.record, path) or {}
                read.setdefault(path, str(made.get("sha256")))
                waiting.append(path)
            elif _must_be_made(study, entry):
                raise UserError(f"{path}: no run record, and {job_name(record)} read it; {_AGAIN}")
            if read.setdefault(path, entry["sha256"]) != entry["sha256"]:
                raise UserError(
                    f"{path}: {job_name(record)} read {entry['sha256'][:12]}, but it is now "
                    f"{read[path][:12]}; {_AGAIN}"
                )
    return [kept for kept in study.jobs() if _key(kept.record) in chosen]


def _key(record: Record) -> tuple[str, str, str]:
    return record["started"], record["rule"], record["writer"]


def _must_be_made(study: Study, entry: Entry) -> bool:
    inside = entry["path"].startswith((f"results/{study.name}/", "resources/"))
    return package_of(entry) is None and (inside or entry["lineage"] is not None)


def _check_job(kept: Kept) -> None:
    record = kept.record
    if record["exit"] is None:
        raise UserError(f"{kept.file}: {job_name(record)} did not end; {_AGAIN}")
    if record["exit"] != 0:
        raise UserError(
            f"{kept.file}: {job_name(record)} failed with exit code {record['exit']}; {_AGAIN}"
        )
    if self_digest(record) != record["digest"]:
        raise UserError(f"{kept.file}: not what {job_name(record)} recorded; allowed: no edits")


def check_outputs(root: Path, jobs: Iterable[Kept]) -> None:
    """Check that all outputs are there in the size that was recorded; none is hashed.

    Outputs that are only there for a while may be gone.

    Raises:
        UserError: one is missing, or has another size.
    """
    for kept in jobs:
        for output in kept.record["outputs"]:
            path = root / output["path"]
            if "sha256" not in output:
                raise UserError(f"{path}: {job_name(kept.record)} did not make it; {_AGAIN}")
            if output["temporary"] and not path.exists():
                continue
            for file in output.get("files", [{**output, "path": ""}]):
                _check_size(path / file["path"], file["bytes"])


def _check_size(path: Path, recorded: int) -> None:
    try:
        found = path.stat().st_size
    except OSError:
        raise UserError(f"{path}: missing, although a run record lists it; {_AGAIN}") from None
    if found != recorded:
        raise UserError(f"{path}: {found} bytes; allowed: {recorded}, as in its run record")
