"""The contents of files and folders, by digest, and the records beside them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from layerscope.core.errors import UserError
from layerscope.core.files import canonical_json, sha256_file, sha256_text

ENDING = ".run.json"
Entry = dict[str, Any]
Record = dict[str, Any]


def record_path(output: str | Path) -> Path:
    """Where the record of the job that makes `output` lies: beside it.

    Of several outputs in one folder the first one alone has a record beside it.
    """
    output = Path(output)
    return output.with_name(output.name + ENDING)


def self_digest(record: Mapping[str, Any]) -> str:
    """Digest of all of a record but the digest that stands in it."""
    return sha256_text(canonical_json({k: v for k, v in record.items() if k != "digest"}))


def load_record(path: Path) -> Record:
    """A record as it stands in its file.

    Raises:
        UserError: it is not a regular file, cannot be read, or is not a record.
    """
    from layerscope.run_records.model import mistake

    try:
        found: Any = json.loads(path.read_bytes()) if path.is_file() else None
        if found is None:
            raise UserError(f"{path}: {_kind(path)}; allowed: a regular file with a run record")
        wrong = mistake(found)
        if wrong is None:
            self_digest(found)  # which needs text and numbers that can be written again
    except (OSError, RecursionError, ValueError) as error:
        wrong = f"not JSON ({' '.join(str(error).split())[:200]})"
    if wrong is not None:
        raise UserError(f"{path}: not a run record: {wrong}")
    record: Record = found
    return record


def read_record(path: Path) -> Record | None:
    """The same; None if the file is no record."""
    try:
        return load_record(path)
    except UserError:
        return None


def find_record(path: str | Path) -> Record | None:
    """The record of the job that made a file or folder: beside it, or beside a sibling."""
    path = Path(path)
    own = record_path(path)
    candidates = [own] if own.is_file() else sorted(path.parent.glob(f"*{ENDING}"))
    for candidate in candidates:
        record = read_record(candidate)
        if record and output_entry(record, path):
            return record
    return None


def output_entry(record: Mapping[str, Any], path: str | Path) -> Entry | None:
    """What a record says of one of its outputs.

    Records name outputs from the working directory; a study that was moved is found by the end.
    """
    wanted = os.path.normpath(path)
    for entry in record["outputs"]:
        if wanted == entry["path"] or wanted.endswith(os.sep + entry["path"]):
            return dict(entry)
    return None


def _visible(root: Path) -> list[Path]:
    """All files below a folder but hidden ones: Snakemake keeps a time stamp in folders."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda file: file.relative_to(root).parts)


def describe(path: str | Path) -> Entry:
    """Size, digest and time of a file; of a folder, these of each file and of the whole.

    Returns:
        `path`, `bytes`, `sha256` (`sha256_file`, or `sha256_directory`), `modified_ns`; for a
        folder `files` with the same of each, paths from the folder.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it is, or the folder has, a device, a FIFO or a socket: reading it may never end.
    """
    path = Path(path)
    if not path.is_dir():
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise UserError(f"{path}: {_kind(path)}; allowed: a regular file or a folder")
        return {
            "path": os.path.normpath(path),
            "bytes": facts.st_size,
            "sha256": sha256_file(path),
            "modified_ns": facts.st_mtime_ns,
        }
    files = [
        {**describe(file), "path": file.relative_to(path).as_posix()} for file in _visible(path)
    ]
    return {
        "path": os.path.normpath(path),
        "bytes": sum(file["bytes"] for file in files),
        "sha256": folder_digest(files),
        "modified_ns": max((file["modified_ns"] for file in files), default=0),
        "files": files,
    }


_KINDS = {
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


def _kind(path: Path) -> str:
    """What a path leads to, in words."""
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode), "a file")
    except OSError as error:
        return error.strerror or "it cannot be read"


def folder_digest(files: list[Entry]) -> str:
    """What `sha256_directory` gives, from digests of the files."""
    files = sorted(files, key=lambda file: Path(file["path"]))
    return sha256_text("\n".join(f"{file['path']} {file['sha256']}" for file in files))


def _untouched(path: Path, entry: Mapping[str, Any]) -> bool:
    """Whether size and time are those of the record, of every file."""
    if "files" not in entry:
        try:
            facts = path.stat()
        except OSError:
            return False
        return [facts.st_size, facts.st_mtime_ns] == [entry["bytes"], entry["modified_ns"]]
    return [file.relative_to(path).as_posix() for file in _visible(path)] == [
        file["path"] for file in entry["files"]
    ] and all(_untouched(path / file["path"], file) for file in entry["files"])


def cached_sha256(path: str | Path) -> str:
    """Digest of a file or folder; from the record of the job that made it if nothing touched it.

    So what is large is hashed once, by its maker, and not again by everyone who reads it. An audit
    hashes everything anew.

    Raises:
        UserError: there is no such file or folder.
    """
    try:
        return str(as_input(path)["sha256"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file or folder; allowed: one that is there") from None


def as_input(path: str | Path) -> Entry:
    """`path`, `bytes`, `sha256`, and the `lineage` of the job that made it (None for raw data)."""
    path = Path(path)
    record = find_record(path)
    entry = output_entry(record, path) if record else None
    if entry is None or not _untouched(path, entry):
        entry = describe(path)
    return {
        "path": os.path.normpath(path),
        "bytes": entry["bytes"],
        "sha256": entry["sha256"],
        "lineage": record["lineage"] if record else None,
    }


def as_package(name: str) -> Entry:
    """An installed package that data is derived from, as an input: the content of its files.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    package = distribution(name)
    files = [file for file in package.files or [] if file.hash and file.suffix != ".pyc"]
    inside = sorted(file for file in files if not file.parts[0].endswith((".dist-info", "..")))
    located = [(file.as_posix(), Path(str(file.locate()))) for file in inside]
    digests = [f"{name} {sha256_file(path)}" for name, path in located if path.is_file()]
    return {
        "path": f"package {name} {package.version}",
        "bytes": sum(path.stat().st_size for _, path in located if path.is_file()),
        "sha256": sha256_text("\n".join(digests)),
        "lineage": None,
    }


def package_of(entry: Mapping[str, Any]) -> str | None:
    """Name of the package that an input is; None if it is a file."""
    words = str(entry["path"]).split()
    return words[1] if len(words) == 3 and words[0] == "package" else None


__all__ = [
    "ENDING",
    "PackageNotFoundError",
    "as_input",
    "as_package",
    "cached_sha256",
    "describe",
    "find_record",
    "folder_digest",
    "load_record",
    "output_entry",
    "package_of",
    "read_record",
    "record_path",
    "self_digest",
]
