"""What a study is held against: the code of the present commit, the configuration of now."""

from __future__ import annotations

import copy
import io
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from layerscope.config.load import read_yaml, validate
from layerscope.config.paths import resolve_paths
from layerscope.core.code import SCRIPTS, code_modules
from layerscope.core.errors import UserError
from layerscope.core.files import read_json
from layerscope.provenance.differences import differences
from layerscope.run_records.content import Record


def python_of(record: Record) -> str:
    """Major and minor version of the Python of a job, such as `3.11`."""
    return ".".join(str(record["versions"].get("python", "")).split(".")[:2])


class Code(NamedTuple):
    """Programs and library to compare with, and their commit (None if they are no checkout)."""

    scripts: Path
    commit: str | None
    commits: Commits | None = None  # others of the checkout

    def at(self, commit: str) -> Code | None:
        """The code of another commit, if the checkout has it."""
        if commit == self.commit:
            return self
        return self.commits.code(commit) if self.commits else None

    def reads(self, record: Record) -> bool:
        """Whether digests can be compared: syntax trees differ between minor versions of Python."""
        return python_of(record) == ".".join(self.python())

    @staticmethod
    def python() -> tuple[str, ...]:
        """Major and minor version by which this program reads code."""
        return platform.python_version_tuple()[:2]

    def modules(self, program: str, part: str | None) -> dict[str, str]:
        """Digest of each module of a job (`code_modules`); none if there is no such program."""
        try:
            return code_modules(program, part, self.scripts)
        except FileNotFoundError:
            return {}


class Commits:
    """Commits of the workflow's checkout, each unpacked when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Code | None] = {}

    def code(self, commit: str) -> Code | None:
        """Programs and library of a commit; None if the checkout does not have it."""
        if commit not in self._known:
            archive = _git("archive", "--format=zip", commit)
            if archive is not None:
                zipfile.ZipFile(io.BytesIO(archive)).extractall(self._folder / commit)
            self._known[commit] = Code(self._folder / commit, commit) if archive else None
        return self._known[commit]


def _git(*arguments: str) -> bytes | None:
    """What git says of the workflow's checkout; None if it is none."""
    git = shutil.which("git")
    if git is None:
        return None
    ran = subprocess.run([git, "-C", str(SCRIPTS), *arguments], capture_output=True, check=False)
    return ran.stdout if ran.returncode == 0 else None


@contextmanager
def committed_code() -> Iterator[Code]:
    """The code of the checkout's commit without later edits; where there is none, what is there."""
    commit = _git("rev-parse", "HEAD") if _git("ls-files", "--error-unmatch", "audit.py") else None
    with TemporaryDirectory(prefix="layerscope-") as folder:
        commits = Commits(Path(folder))
        code = commits.code(commit.decode().strip()) if commit else None
        yield code._replace(commits=commits) if code else Code(SCRIPTS, None)


def dotted(value: Any, name: str = "") -> dict[str, Any]:
    """Nested settings as one level: `{"a": {"b": 1}}` is `{"a.b": 1}`."""
    if isinstance(value, Mapping) and value:
        found: dict[str, Any] = {}
        for key, inner in value.items():
            found |= dotted(inner, f"{name}.{key}" if name else str(key))
        return found
    return {name: value}


def configured(root: Path, configuration: Mapping[str, Any]) -> Any:
    """The configuration as its files have it now, resolved.

    Args:
        root: what relative paths start from.
        configuration: `files`, and `given` on the command line, of a run record.

    Raises:
        UserError: a file is gone, or what is in it is not allowed.
    """
    merged: dict[str, Any] = {}
    read: list[tuple[str, dict[str, Any]]] = []
    for file in configuration["files"]:
        if not (root / file).is_file():
            raise UserError(f"{file}: no such file")
        read.append((file, read_yaml(root / file)))
        _update(merged, copy.deepcopy(read[-1][1]))
    _update(merged, configuration["given"])
    return validate(resolve_paths(merged, read, root)).model_dump(mode="json")


def _update(settings: dict[str, Any], more: Mapping[str, Any]) -> None:
    """As Snakemake merges: sections key by key, anything else is replaced."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(settings.get(key), dict):
            _update(settings[key], value)
        else:
            settings[key] = dict(value) if isinstance(value, Mapping) else value


def stale_settings(root: Path, kept: Path, configuration: Mapping[str, Any]) -> list[str]:
    """How the configuration of now differs from the one that a study was run with.

    Args:
        root: Snakemake's working directory.
        kept: the study's `config.json`.
        configuration: of the record of that file.

    Returns:
        One line a difference; none if there is none.

    Raises:
        UserError: a configuration file is gone, or what is in it is not allowed.
    """
    return differences(read_json(kept), configured(root, configuration))
