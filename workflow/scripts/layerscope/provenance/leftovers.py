"""What an earlier configuration made in a study's folder and the present one does not have.

Only outputs that a run record lists, and that are still what their job left, are ever removed, with
their records, logs, times and checkpoints. Files that no job made are the user's, and so are edited
ones.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object, remove
from layerscope.core.wording import few
from layerscope.provenance.checks import all_below
from layerscope.provenance.studies import Kept, Study
from layerscope.run_records.content import Entry, cached_sha256, self_digest


class Leftovers(NamedTuple):
    """Files of jobs that no longer belong to a study; paths from its root."""

    study: Study
    jobs: list[Kept]
    removable: list[str]  # of each job its outputs, then what was written beside them
    left_alone: dict[str, str]  # outputs and records that stay, and why


def leftovers(study: Study, planned: Collection[str]) -> Leftovers:
    """Find what jobs made that are not in the plan; a job of which any output is planned stays.

    Outputs that a later job has made again are that job's.

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
    gone: list[tuple[Kept, list[str]]] = []
    left_alone: dict[str, str] = {}
    for kept, paths in jobs_without(study, wanted):
        if not all(_inside(study, path) for path in paths):
            continue
        why = _why_not(study, kept, paths)
        left_alone |= why
        if not why:
            gone.append((kept, paths))
    left_alone |= _keep_what_is_read(study, gone)
    jobs = [kept for kept, _ in gone]
    stays = {path for kept in study.jobs() if kept not in jobs for path in _beside(study, kept)}
    removable = []
    for kept, paths in gone:
        records = [study.named(study.made[path].file) for path in paths]
        beside = [path for path in _beside(study, kept) if path not in stays]
        found = [*paths, *records, *beside]
        removable += [path for path in found if os.path.lexists(study.root / path)]
    return Leftovers(study, jobs, list(dict.fromkeys(removable)), left_alone)


def jobs_without(study: Study, wanted: Collection[str]) -> Iterator[tuple[Kept, list[str]]]:
    """Jobs of which no output is wanted, with the outputs that they were the last to make.

    Args:
        study: with its records.
        wanted: paths of results from the study's root; a folder is wanted with what is in it.
    """
    around = {str(parent) for path in wanted for parent in Path(path).parents}
    for kept in study.jobs():
        made = [str(each["path"]) for each in kept.record["outputs"]]
        paths = [path for path in made if _is_maker(study, kept, path)]
        needed = {path for each in paths for path in (each, *map(str, Path(each).parents))}
        if paths and not needed.intersection(wanted) and not around.intersection(paths):
            yield kept, paths


def _keep_what_is_read(study: Study, gone: list[tuple[Kept, list[str]]]) -> dict[str, str]:
    """Take from what is to go all that a result was made from that stays, and say why.

    Such a result, for example a report of an earlier configuration, could no longer be verified.
    """
    left_alone: dict[str, str] = {}
    while True:
        going = {path for _, paths in gone for path in paths}
        read = {
            entry["path"]: output
            for output, kept in study.made.items()
            if output not in going and os.path.lexists(study.root / output)
            for entry in kept.record["inputs"]
            if entry["path"] in going
        }
        if not read:
            return left_alone
        for kept, paths in list(gone):
            readers = [read[path] for path in paths if path in read]
            if readers:
                gone.remove((kept, paths))
                left_alone |= dict.fromkeys(
                    paths, f"{readers[0]}, which stays, was made from it (remake that first)"
                )


def _is_maker(study: Study, kept: Kept, path: str) -> bool:
    """Whether a job is the last that made an output, by the record in the output's folder."""
    return path in study.made and study.made[path].record == kept.record


def _why_not(study: Study, kept: Kept, paths: Collection[str]) -> dict[str, str]:
    """What keeps a job's outputs from being removed, by path; nothing if nothing does."""
    file = study.named(kept.file)
    if kept.record["digest"] != self_digest(kept.record):
        return {file: "it was edited"}
    if kept.record["exit"] is None:
        return {file: "its job has not ended, or was killed"}
    there = [each for each in kept.record["outputs"] if each["path"] in paths]
    there = [each for each in there if os.path.lexists(study.root / each["path"])]
    changed = [each["path"] for each in there if not _unedited(study, each)]
    return dict.fromkeys(changed, "it is not what its job left")


def _inside(study: Study, path: str, top: str = "results") -> bool:
    """Whether a path is one below the study's folder, and leads nowhere else by a link."""
    own = f"{top}/{study.name}/"
    if os.path.normpath(path) != path or not path.startswith(own):
        return False
    folder = os.path.realpath((study.root / path).parent)
    return Path(folder).is_relative_to(os.path.realpath(study.root / own))


def _unedited(study: Study, output: Entry) -> bool:
    """Whether an output is what its job left; to a folder no file was added, hidden or not."""
    path = study.root / output["path"]
    try:
        if path.is_symlink() or cached_sha256(path) != output.get("sha256"):
            return False
    except (UserError, OSError):  # no regular file any more, or one that cannot be read
        return False
    return set(all_below(path)) == {file["path"] for file in output.get("files", ())}


def _beside(study: Study, kept: Kept) -> Iterator[str]:
    """The log of a job, the times of its run and its checkpoints."""
    record, own = kept.record, f"results/{study.name}"
    log = str(record["log"]["path"])
    if _inside(study, log, "logs"):
        yield log
        job = log.removeprefix(f"logs/{study.name}/").removesuffix(".log")
        times = f"{own}/benchmarks/{job}.tsv"
        if _inside(study, times):
            yield times
    checkpoints = record["parameters"].get("checkpoints")
    if isinstance(checkpoints, str) and _inside(study, checkpoints):
        # results/STUDY/checkpoints/STAGE/..., as the first output is results/STUDY/MADE/...
        parts, made = (PurePosixPath(p).parts for p in (checkpoints, record["outputs"][0]["path"]))
        if parts[2] == "checkpoints" and len(made) > 3 and parts[4:] == made[3:]:
            yield checkpoints


def require_same_study(study: Study, tasks: Collection[str], models: Collection[str]) -> None:
    """Stop where a study's folder was made by another study, which merely has the same name.

    Args:
        study: whose results lie in the folder.
        tasks, models: names in the configuration that is given.

    Raises:
        UserError: the study was last run with other tasks, or other models, alone.
    """
    path = study.results / "config.json"
    if not path.is_file():
        return
    last = read_json_object(path)
    for section, names in (("tasks", tasks), ("models", models)):
        made = last.get(section)
        if isinstance(made, dict) and made and not set(made) & set(names):
            raise UserError(
                f"{study.results}: made with {section} {', '.join(sorted(made))}, none of which "
                f"the configuration has ({', '.join(sorted(names))}); allowed: a configuration of "
                "that study, or another name in `study:`"
            )


def remove_leftovers(found: Leftovers) -> None:
    """Remove them, and folders of the study that are empty then.

    Raises:
        UserError: a run is using the study, or something cannot be removed; what comes after it
            stays.
    """
    study = found.study
    _require_unused(study)
    for number, path in enumerate(found.removable):
        with suppress(OSError):
            remove(study.root / path)
        if os.path.lexists(study.root / path):
            raise UserError(
                f"{path}: cannot be removed ({number} of {len(found.removable)} files and folders "
                "were removed before it); allowed: one that you may delete"
            )
    top = study.results.resolve()
    for path in found.removable:
        for folder in (study.root / path).parents:
            if not folder.resolve().is_relative_to(top) or folder.resolve() == top:
                break
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _require_unused(study: Study) -> None:
    """Stop where Snakemake has locked the study; it refuses no rule that has no files."""
    for lock in (study.root / ".snakemake" / "locks").glob("*.lock"):
        with suppress(FileNotFoundError):
            if any(path.startswith(f"results/{study.name}/") for path in _lines(lock)):
                raise UserError(
                    f"{study.results}: another run of Snakemake is using it, or was killed; "
                    "allowed: a study that no run is using (after a killed run: snakemake --unlock)"
                )


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="surrogateescape").splitlines()


def in_words(found: Leftovers, removed: bool, how: str) -> str:
    """What there is to remove, or was removed.

    Args:
        found: the leftovers.
        removed: whether they are gone.
        how: to remove them.
    """
    of_reason: dict[str, list[str]] = {}
    for path, why in sorted(found.left_alone.items()):
        of_reason.setdefault(why, []).append(path)
    stays = [f"left alone, since {why}: {few(paths)}" for why, paths in of_reason.items()]
    if not found.jobs:
        return "\n".join(["Nothing to remove." if stays else "Nothing is left over.", *stays])
    of_rule: dict[str, list[str]] = {}
    for kept in found.jobs:
        of_rule.setdefault(kept.record["rule"], []).append(kept.record["outputs"][0]["path"])
    lines = [f"{found.study.results}: the results of these jobs no longer belong to the study:"]
    for rule, paths in sorted(of_rule.items()):
        lines.append(f"  {rule} ({len(paths)}): {few(paths)}")
    number = f"{len(found.removable)} files and folders (outputs, records, logs, run times)"
    last = f"Removed: {number}." if removed else f"Nothing was removed. To remove {number}, {how}"
    return "\n".join([*lines, *stays, last])
