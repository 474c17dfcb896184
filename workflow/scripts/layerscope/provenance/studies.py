"""The run records of a study, by what they say was made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from layerscope.core.errors import UserError
from layerscope.run_records.content import ENDING, Record, read_record


class Kept(NamedTuple):
    """A record and the file that holds it."""

    file: Path
    record: Record


class Study(NamedTuple):
    """A study as it lies on disk.

    `made` has the record of each output, by the output's path from `root`. What is fetched for
    several studies is among it, from `resources/`.
    """

    root: Path  # Snakemake's working directory, which holds results/ and resources/
    name: str
    made: dict[str, Kept]
    broken: list[Path]  # files that are named as records and are none

    @property
    def results(self) -> Path:
        """Its folder."""
        return self.root / "results" / self.name

    def jobs(self) -> list[Kept]:
        """Each job once, in the order in which they began."""
        found = {
            (kept.record["started"], kept.record["rule"], kept.record["writer"]): kept
            for kept in self.made.values()
        }
        return [found[key] for key in sorted(found)]


def study_of(path: str | Path) -> tuple[Path, str] | None:
    """Working directory and name of the study that contains a path; None if none does."""
    path = Path(os.path.abspath(path))
    for folder in (path, *path.parents):
        if folder.parent.name == "results":
            return folder.parent.parent, folder.name
    return None


def has_records(root: Path, name: str) -> bool:
    """Whether a folder of `results` is a study that left records."""
    return any(_records(root / "results" / name))


def read_study(root: str | Path, name: str) -> Study:
    """Read all records of a study.

    Raises:
        UserError: it has no results.
    """
    root = Path(root)
    results = root / "results" / name
    if not results.is_dir():
        known = sorted(path.name for path in (root / "results").glob("*") if path.is_dir())
        raise UserError(
            f"{results}: no such folder; allowed: one of results/: {', '.join(known) or 'none'}"
        )
    made: dict[str, Kept] = {}
    broken = []
    for file in [*_records(results), *_records(root / "resources")]:
        record = read_record(file)
        if record is None:
            broken.append(file)
            continue
        # A job has a record in each folder that it wrote to; each answers for its own folder.
        for output in record["outputs"]:
            if (root / output["path"]).parent == file.parent:
                made[output["path"]] = Kept(file, record)
    return Study(root, name, made, broken)


def _records(top: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(ENDING))
