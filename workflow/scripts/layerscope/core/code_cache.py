"""What parsing a source has given, kept in the user's cache folder.

Each job of a study needs digests of some hundred sources, and parsing them takes most of a second.
Entries are found by content, so none is ever stale, and the folder can be removed at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from functools import cache
from pathlib import Path

from layerscope.core.files import whole_file

#: Digest of a source's syntax tree, and the names that it imports.
Parsed = tuple[str, list[str]]
#: With more, those that were not needed now are left out: an entry takes some 300 bytes.
MOST = 5000


def cache_folder() -> Path | None:
    """`layerscope` in the user's cache folder; None for a user without any."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "layerscope"
    except RuntimeError:  # no home
        return None


class CodeCache:
    """Entries of the parser `parser`, whose own source tells its versions apart."""

    def __init__(self, parser: Path) -> None:
        # Python's syntax trees differ from version to version.
        version = hashlib.sha256(parser.read_bytes() + sys.version.encode()).hexdigest()[:16]
        folder = cache_folder()
        self._file = folder and folder / f"code-{version}.json"
        self._entries: dict[str, Parsed] = {}
        self._used: dict[str, Parsed] = {}
        self._is_new = False
        # What is missing or damaged is made again.
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            if self._file:
                found = json.loads(self._file.read_text(encoding="utf-8"))
                self._entries = {key: (digest, names) for key, (digest, names) in found.items()}

    def get(self, key: str) -> Parsed | None:
        found = self._entries.get(key)
        if found:
            self._used[key] = found
        return found

    def put(self, key: str, parsed: Parsed) -> None:
        self._entries[key] = self._used[key] = parsed
        self._is_new = True

    def save(self) -> None:
        """Write the file if there is anything new. What cannot be written is not kept."""
        if self._is_new and self._file:
            kept = self._entries if len(self._entries) <= MOST else self._used
            with contextlib.suppress(OSError), whole_file(self._file) as partial:
                partial.write_text(json.dumps(kept), encoding="utf-8")
        self._is_new = False


@cache
def code_cache(parser: Path) -> CodeCache:
    """This process's own, read once."""
    return CodeCache(parser)
