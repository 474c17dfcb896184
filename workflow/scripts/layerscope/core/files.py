"""Files that appear whole or not at all, canonical JSON, and digests."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from layerscope.core.errors import UserError, show


def writer() -> str:
    """A name of this process, without dots: no other on this host or another has it now."""
    return f"{socket.gethostname()}-{os.getpid()}".replace(".", "-")


def _beside(path: Path, ending: str) -> Path:
    """A hidden path beside `path` that this process alone writes to; what others left goes.

    A killed writer leaves such a file. One that still runs elsewhere, on a node thought lost, fails
    when it finds its own gone, so that the writer that began last wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stale = re.compile(rf"\.{re.escape(path.name)}\.[^.]+\.{ending}")
    for name in os.listdir(path.parent):
        if stale.fullmatch(name):
            remove(path.parent / name)
    return path.with_name(f".{path.name}.{writer()}.{ending}")


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; it is renamed to `path` only if the block succeeds."""
    path = Path(path)
    partial = _beside(path, "partial")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        if error.errno and error.filename is None:  # as of a write to an open file, on a full disk
            error.filename = str(path)
        raise
    finally:
        remove(partial)


@contextmanager
def whole_directory(path: str | Path) -> Iterator[Path]:
    """Give an empty directory beside `path`; it replaces `path` only if the block succeeds."""
    path = Path(path)
    partial, old = _beside(path, "partial"), _beside(path, "old")
    partial.mkdir()
    try:
        yield partial
        partial.stat()  # if another process took over and it is gone, what that one made stays
        if path.exists():
            os.replace(path, old)  # one step; removing it takes time, and a kill would halve it
        os.replace(partial, path)
    finally:
        remove(partial)
        remove(old)


def require_past(paths: Iterable[str | Path], tolerance: float) -> None:
    """Stop where a file is from the future, so that the clock has been set back.

    Args:
        paths: of inputs; what is not there is left out.
        tolerance: seconds that a file may be ahead.

    Raises:
        UserError: a file is further ahead.
    """
    for path, changed in _changed(paths):
        ahead = changed - time.time()
        if ahead > tolerance:
            raise UserError(
                f"{path}: its time is {ahead:.0f} s in the future by this machine's clock; "
                "allowed: a clock that was not set back, or `touch` the file"
            )


def require_newer(out: Path, inputs: Iterable[str | Path]) -> None:
    """Stop where an input is newer than what was just made from it.

    Snakemake removes such outputs, however long they took. Both times are the file server's, which
    may differ from this machine's.

    Args:
        out: file or folder that was written.
        inputs: of it; what is not there is left out.

    Raises:
        UserError: an input is newer.
    """
    made = out.stat().st_mtime
    for path, changed in _changed(inputs):
        if changed > made:
            raise UserError(
                f"{path}: changed {changed - made:.0f} s after {out}, which was made from it; "
                "allowed: a clock that was not set back, or `touch` the file"
            )


def _changed(paths: Iterable[str | Path]) -> Iterator[tuple[Path, float]]:
    """When what is there was changed; of a folder also when Snakemake said so."""
    for path in map(Path, paths):
        for place in (path, path / ".snakemake_timestamp"):
            with suppress(OSError):
                yield path, place.stat().st_mtime


def canonical_json(value: Any) -> str:
    """JSON text that depends on the content alone: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, whole or not at all.

    What is not Unicode, as in a file name that is not UTF-8, is escaped.
    """
    with whole_file(path) as partial:
        text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; allowed: a file that can be read") from None
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise UserError(f"{path}: not JSON ({error})") from None


def read_json_object(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        UserError: the file is missing, cannot be read, is not JSON or holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {show(content)}; allowed: a JSON object")
    return content


def sha256_text(text: str) -> str:
    """Hexadecimal SHA-256 of `text` in UTF-8; a file name in it counts with the bytes it has."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def sha256_file(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in blocks."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_directory(path: str | Path) -> str:
    """SHA-256 over the names and digests of all files below `path`, in sorted order.

    Hidden files are left out: Snakemake keeps a time stamp of its own in directories.
    """
    root = Path(path)
    files = sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))
    lines = [f"{p.relative_to(root).as_posix()} {sha256_file(p)}" for p in files]
    return sha256_text("\n".join(lines))


def by_folder(paths: Iterable[str]) -> dict[str, list[str]]:
    """Names by the folder that they are in: many paths in few characters, as commands need them."""
    found: dict[str, list[str]] = {}
    for path in paths:
        folder, name = os.path.split(path)
        found.setdefault(folder, []).append(name)
    return found


def in_folders(names: Mapping[str, Sequence[str]]) -> list[str]:
    """The paths that `by_folder` was given, folder by folder."""
    return [os.path.join(folder, name) for folder, each in names.items() for name in each]
