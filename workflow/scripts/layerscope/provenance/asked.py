"""What somebody asks to be audited: a study, a result in it, or a figure from anywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from layerscope.core import lineage
from layerscope.core.errors import UserError
from layerscope.provenance.audit import Audit, audit, whole
from layerscope.provenance.checks import Finding, look
from layerscope.provenance.outside import what_is
from layerscope.provenance.present import Code
from layerscope.provenance.studies import (
    Study,
    find_study,
    has_records,
    read_study,
    study_of,
)


def audit_asked(target: str, root: str | Path, code: Code) -> tuple[Audit, str]:
    """Audit a study, a result of one, or the result that a figure from anywhere is.

    Args:
        target: its path.
        root: working directory whose studies a figure may come from.
        code: what the results should be made by.

    Returns:
        What was seen, and where a figure from elsewhere comes from, in a line.

    Raises:
        UserError: there is no such file, or nothing says where it comes from.
    """
    place: tuple[Path, str, Path | None] | None = find_study(target)
    named = study_of(target)
    if place is None and named and not (os.path.isfile(target) and not has_records(*named)):
        place = (*named, None)  # not some folder of that name
    extra: list[Finding] = []
    heading = ""
    if place is None:
        traced = trace(target, root)
        if not traced.same:
            message = f"not the bytes of {traced.path}, whose lineage it carries"
            extra = [Finding(target, "changed", message)]
        heading = f"{target} is {traced.path} of study {traced.study.name}."
        seen = audit(traced.study, [traced.path], code)
    else:
        if named and place[1] != named[1]:
            message = f"the study in this folder is {place[1]}, under another name"
            extra = [Finding(os.path.join("results", named[1]), "record", message)]
        study = read_study(*place)
        seen = _audit_part(study, study.named(os.path.abspath(target)), target, code)
    return seen._replace(general=[*extra, *seen.general]), heading


def _audit_part(study: Study, path: str, target: str, code: Code) -> Audit:
    """Audit a study, a folder in it, or a result.

    Args:
        study: with its records.
        path: from its root.
        target: the same, as it was asked for.
        code: what the results should be made by.
    """
    known = what_is(study, path)
    if known:
        raise UserError(f"{target}: {known}; allowed: a result, or a study's folder")
    for output, kept in study.made.items():
        if study.named(kept.file) == path:
            raise UserError(f"{target}: a run record; allowed: the result that it is of, {output}")
    inside = any(str(folder) in study.made for folder in (Path(path), *Path(path).parents))
    if not os.path.exists(target) and not inside:
        raise UserError(f"{target}: no such file; allowed: a result, or a study's folder")
    if os.path.isdir(target) and not inside:
        made = any(output.startswith(f"{path}/") for output in study.made)
        if not made and path != f"results/{study.name}":
            raise UserError(f"{target}: no job made anything in it; allowed: a folder of results")
        return whole(study, code, path)
    return audit(study, [path], code)


class Traced(NamedTuple):
    """A file that left its folder, and the result that it is."""

    study: Study
    path: str
    same: bool  # whether it has the bytes that were made


def trace(file: str | Path, root: str | Path) -> Traced:
    """Find the run that a figure comes from, by the lineage that it carries.

    Args:
        file: a figure, from anywhere.
        root: working directory whose studies are searched.

    Raises:
        UserError: no such file, it carries no lineage, or no study here has it.
    """
    found = look(Path(file))
    if isinstance(found, str) or "files" in found:
        reason = found if isinstance(found, str) else "a folder"
        raise UserError(f"{file}: {reason}; allowed: a result, a figure, or a study's folder")
    content = Path(file).read_bytes()
    carried = lineage.marked(content)
    if carried is None:
        raise UserError(
            f"{file}: unknown origin: not in a study folder, no lineage metadata; "
            "allowed: a result of a study, or a figure that layerscope drew"
        )
    ending = Path(file).suffix
    folders = sorted(path for path in Path(root, "results").glob("*") if path.is_dir())
    for folder in folders:
        study = read_study(root, folder.name)
        for path, kept in study.made.items():
            if kept.record["lineage"] == carried and Path(path).suffix == ending:
                there = study.place(path)
                return Traced(study, path, there.is_file() and there.read_bytes() == content)
    names = ", ".join(folder.name for folder in folders) or "none"
    raise UserError(
        f"{file}: lineage {carried}; no study in {Path(root, 'results')} has it ({names}); "
        "allowed: the working directory that it was made in"
    )
