"""Text files of the user's: UTF-8, checked, with what is to be said of them in a report.

Files whose names end in `.gz` or `.zst` are decompressed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from layerscope.core.errors import UserError

_BOM = "\ufeff"

#: Compressions of text by the ending of the file's name.
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True)
class TextFile:
    """A file's text."""

    path: Path
    text: str  # without byte order mark; every line end is one "\n"
    facts: dict[str, str | int]  # sha256, bytes, lines
    repaired: dict[str, int]  # what the text had otherwise, and how often

    @property
    def lines(self) -> list[str]:
        """Lines without their ends; the nth is at n - 1."""
        lines = self.text.split("\n")
        return lines if lines[-1] else lines[:-1]


def at(path: Path, number: int, unit: str = "line") -> str:
    """How an error names a place in a file, by its line or row; the first one is 1."""
    return f"{path} {unit} {number}"


def read_bytes(path: Path, hint: str | None = None) -> bytes:
    """What a file holds.

    Raises:
        UserError: it is missing, or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {hint or 'allowed: a file'}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; allowed: a file that can be read") from None


def _decompressed(path: Path, data: bytes) -> bytes:
    compression = COMPRESSIONS.get(path.suffix)
    if compression is None or not data:
        return data
    try:
        with pa.input_stream(pa.py_buffer(data), compression=compression) as stream:
            return bytes(stream.read())
    except OSError as error:
        raise UserError(f"{path}: {error}; allowed: a whole file of {compression}") from None


def read_text(path: Path, hint: str | None = None) -> TextFile:
    """Read a file.

    A byte order mark is taken off, and the line ends of Windows and of old Macs are made "\\n";
    both are counted.

    Args:
        path: the file.
        hint: said when it is missing, such as how to get it.

    Raises:
        UserError: missing or unreadable, cut short, not UTF-8, or a NUL character.
    """
    stored = read_bytes(path, hint)
    data = _decompressed(path, stored)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        where = at(path, data.count(b"\n", 0, error.start) + 1)
        raise UserError(
            f"{where}: byte 0x{data[error.start]:02x} at {error.start} is not UTF-8; "
            "allowed: text in UTF-8"
        ) from None
    if (nul := text.find("\0")) >= 0:
        where = at(path, text.count("\n", 0, nul) + 1)
        raise UserError(f"{where}: a NUL character; allowed: text in UTF-8")
    plain = text.removeprefix(_BOM).replace("\r\n", "\n").replace("\r", "\n")
    facts: dict[str, str | int] = {
        "sha256": hashlib.sha256(stored).hexdigest(),
        "bytes": len(stored),
        "lines": plain.count("\n") + (not plain.endswith("\n") and plain != ""),
    }
    repaired = {"byte_order_marks": int(text.startswith(_BOM)), "other_line_ends": text.count("\r")}
    return TextFile(path, plain, facts, {name: count for name, count in repaired.items() if count})
