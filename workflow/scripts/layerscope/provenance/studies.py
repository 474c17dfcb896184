"""The run records of a study, by what they say was made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from layerscope.core.errors import UserError
from layerscope.core.files import read_json
from layerscope.run_records.content import ENDING, Record, load_record, record_path
from layerscope.run_records.model import is_below

#: Below the results in an archive: what was left out of it.
PACKED = "pack.json"


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
    broken: dict[Path, str]  # files that are named as records and are none, and why
    folder: Path | None = None  # of a copy that lies elsewhere than in results/, or is renamed
    left_out: frozenset[str] = frozenset()  # of an archive: what it does not hold

    @property
    def results(self) -> Path:
        """Its folder."""
        return self.folder or self.root / "results" / self.name

    def place(self, path: str) -> Path:
        """Where a file lies that records name so."""
        return _place(self.root, self.name, self.results, path)

    def named(self, file: str | Path) -> str:
        """How records name a file."""
        inside = os.path.relpath(file, self.results)
        if inside.split(os.sep)[0] == os.pardir:
            return os.path.relpath(file, self.root)
        return os.path.normpath(os.path.join("results", self.name, inside))

    def jobs(self) -> list[Kept]:
        """Each job once, in the order in which they began."""
        found = {
            (kept.record["started"], kept.record["rule"], kept.record["writer"]): kept
            for kept in self.made.values()
        }
        return [found[key] for key in sorted(found)]


def _place(root: Path, name: str, results: Path, path: str) -> Path:
    own = f"results/{name}"
    inside = path == own or path.startswith(f"{own}/")
    return results / path.removeprefix(own).lstrip("/") if inside else root / path


def study_of(path: str | Path) -> tuple[Path, str] | None:
    """Working directory and name of the study that contains a path; None if none does."""
    path = Path(os.path.abspath(path))
    for folder in (path, *path.parents):
        if folder.parent.name == "results":
            return folder.parent.parent, folder.name
    return None


def find_study(path: str | Path) -> tuple[Path, str, Path] | None:
    """The study that contains a path, wherever its folder lies and whatever that is called now.

    Returns:
        Working directory, the name that the study was run by, and its folder; None if no folder
        says that it is one. The working directory of one in no `results` is the folder above it.
    """
    path = Path(os.path.abspath(path))
    for folder in (path, *path.parents):
        name = _recorded_name(folder)
        if name:
            above = folder.parent
            return (above.parent if above.name == "results" else above), name, folder
    return None


def _recorded_name(folder: Path) -> str | None:
    """Name of the study that a folder was made as: from the record or the configuration in it."""
    configuration = folder / "config.json"
    for file in (record_path(configuration), configuration):
        try:
            found = read_json(file) if file.is_file() else None
        except (UserError, RecursionError, OSError):
            continue
        if isinstance(found, dict) and isinstance(found.get("study"), str):
            return str(found["study"])
    return None


def has_records(root: Path, name: str) -> bool:
    """Whether a folder of `results` is a study that left records."""
    return any(_records(root / "results" / name))


def read_study(root: str | Path, name: str, folder: Path | None = None) -> Study:
    """Read all records of a study.

    Args:
        root: working directory.
        name: by which the study was run.
        folder: where it lies, if that is not `results/NAME` of the working directory.

    Raises:
        UserError: it has no results.
    """
    root = Path(root)
    results = folder or root / "results" / name
    if not results.is_dir():
        known = sorted(path.name for path in (root / "results").glob("*") if path.is_dir())
        raise UserError(
            f"{results}: no such folder; allowed: one of results/: {', '.join(known) or 'none'}"
        )
    made: dict[str, Kept] = {}
    broken: dict[Path, str] = {}
    for file in [*_records(results), *_records(root / "resources")]:
        try:
            record = load_record(file)
        except UserError as error:
            broken[file] = str(error).removeprefix(f"{file}: ")
            continue
        # A job has a record in each folder that it wrote to; each answers for its own folder.
        paths = [output["path"] for output in record["outputs"]]
        outside = [path for path in paths if not is_below(path)]
        if outside:
            broken[file] = f"it names {outside[0]}; allowed: outputs below the working directory"
            continue
        here = [p for p in paths if _place(root, name, results, p).parent == file.parent]
        made.update(dict.fromkeys(here, Kept(file, record)))
        if not here:
            broken[file] = f"not a record of this folder: it says how {paths[0]} was made"
    return Study(root, name, made, broken, folder, _left_out(results / PACKED))


def _left_out(file: Path) -> frozenset[str]:
    """What an archive says that it does not hold; nothing if it is none."""
    try:
        found = read_json(file) if file.is_file() else None
    except (UserError, RecursionError):
        return frozenset()
    names = found.get("left_out") if isinstance(found, dict) else None
    return (
        frozenset(n for n in names if isinstance(n, str))
        if isinstance(names, list)
        else frozenset()
    )


def _records(top: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(ENDING))
