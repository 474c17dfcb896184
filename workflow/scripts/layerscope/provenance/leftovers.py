"""What an earlier configuration made in a study's folder and the present one does not have.

Only outputs that a run record lists, and that are still what their job left, are ever removed, with
their records, logs and times. Files that no job made are the user's, and so are edited ones.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from layerscope.core.errors import UserError
from layerscope.core.files import remove
from layerscope.provenance.studies import Kept, Study
from layerscope.run_records.content import cached_sha256

_NAMED = 3


class Leftovers(NamedTuple):
    """Files of jobs that no longer belong to a study; paths from its root."""

    study: Study
    jobs: list[Kept]
    removable: list[str]  # outputs, then what was written beside them: records, logs, times
    edited: list[str]  # outputs that are not what their job left, which stay


def leftovers(study: Study, planned: Collection[str]) -> Leftovers:
    """Find what jobs made that are not in the plan; a job of which any output is planned stays.

    Args:
        study: with its records.
        planned: paths of all outputs of the study, as its configuration is now.

    Raises:
        UserError: the plan has no output of the study.
    """
    wanted = {os.path.normpath(path) for path in planned}
    if not any(_inside(study, path) for path in wanted):
        raise UserError(
            f"{study.results}: the plan makes nothing in it; allowed: a plan of the whole study"
        )
    around = {str(parent) for path in wanted for parent in Path(path).parents}
    records: dict[tuple[str, ...], set[str]] = {}
    for path, kept in study.made.items():
        if _inside(study, path):
            records.setdefault(_key(kept), set()).add(study.named(kept.file))
    jobs, removable, edited = [], [], []
    for kept in study.jobs():
        outputs = kept.record["outputs"]
        paths = [str(output["path"]) for output in outputs]
        needed = {path for each in paths for path in (each, *map(str, Path(each).parents))}
        if wanted & needed or around.intersection(paths):
            continue
        if not all(_inside(study, path) for path in paths):
            continue
        there = [output for output in outputs if os.path.lexists(study.root / output["path"])]
        changed = [output["path"] for output in there if not _unedited(study, output)]
        if changed:
            edited += changed
            continue
        beside = [*sorted(records.get(_key(kept), ())), *_beside(study, kept)]
        jobs.append(kept)
        removable += [output["path"] for output in there]
        removable += [path for path in beside if os.path.lexists(study.root / path)]
    return Leftovers(study, jobs, list(dict.fromkeys(removable)), edited)


def _inside(study: Study, path: str) -> bool:
    """Whether a path is one below the study's folder, and leads nowhere else by a link."""
    own = f"results/{study.name}/"
    if os.path.normpath(path) != path or not path.startswith(own):
        return False
    folder = os.path.realpath((study.root / path).parent)
    return Path(folder).is_relative_to(os.path.realpath(study.results))


def _unedited(study: Study, output: dict[str, str]) -> bool:
    path = study.root / output["path"]
    try:
        return not path.is_symlink() and cached_sha256(path) == output.get("sha256")
    except UserError:  # no regular file any more
        return False


def _key(kept: Kept) -> tuple[str, ...]:
    return kept.record["started"], kept.record["rule"], kept.record["writer"]


def _beside(study: Study, kept: Kept) -> Iterator[str]:
    """The log of a job, the times of its run and its checkpoints."""
    record, own = kept.record, f"results/{study.name}"
    log = str(record["log"]["path"])
    logs = f"logs/{study.name}/"
    if log.startswith(logs) and os.path.normpath(log) == log:
        yield log
        yield f"{own}/benchmarks/{log.removeprefix(logs).removesuffix('.log')}.tsv"
    checkpoints = record["parameters"].get("checkpoints")
    if isinstance(checkpoints, str) and _inside(study, checkpoints):
        yield checkpoints


def remove_leftovers(found: Leftovers) -> None:
    """Remove them, and folders of the study that are empty then."""
    study = found.study
    for path in found.removable:
        remove(study.root / path)
    top = study.results.resolve()
    for path in found.removable:
        for folder in (study.root / path).parents:
            if not folder.resolve().is_relative_to(top) or folder.resolve() == top:
                break
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def in_words(found: Leftovers, removed: bool, how: str) -> str:
    """What there is to remove, or was removed.

    Args:
        found: the leftovers.
        removed: whether they are gone.
        how: to remove them.
    """
    edited = [
        f"left alone, since it is not what its job left: {path}" for path in sorted(found.edited)
    ]
    if not found.jobs:
        return "\n".join(["All that jobs made belongs to the study.", *edited])
    of_rule: dict[str, list[str]] = {}
    for kept in found.jobs:
        of_rule.setdefault(kept.record["rule"], []).append(kept.record["outputs"][0]["path"])
    lines = [f"{found.study.results}: what these jobs made no longer belongs to the study:"]
    for rule, paths in sorted(of_rule.items()):
        more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
        lines.append(f"  {rule} ({len(paths)}): {', '.join(paths[:_NAMED])}{more}")
    number = f"{len(found.removable)} files and folders (outputs, records, logs, times)"
    last = f"Removed: {number}." if removed else f"Nothing was removed. To remove {number}, {how}"
    return "\n".join([*lines, *edited, last])
