"""Paths of one machine in what is published: they tell a reader nothing, and strangers too much."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import PurePosixPath
from typing import Any

from layerscope.core.files import canonical_json

# A value that is one: from the root, a home or a folder above. Within a text: of two parts or more.
_PART = r"[^/\s\"',;\])}]+"
_WHOLE = re.compile(r"(?:~[^/\s]*|\.\.)(?:/.*)?|/.*", re.DOTALL)
_WITHIN = re.compile(rf"(?<![^\s\"'=:,\[({{])(?:~[^/\s]*|\.\.|/{_PART})(?:/{_PART})+/?")


def is_place(path: str) -> bool:
    """Whether a path leads out of the working directory."""
    return _WHOLE.fullmatch(path) is not None


def without_places(value: Any) -> Any:
    """A value of JSON with the last part alone of each such path, at any depth."""
    if isinstance(value, dict):
        return {name: without_places(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_places(each) for each in value]
    if not isinstance(value, str):
        return value
    if is_place(value):
        return PurePosixPath(value).name
    return _WITHIN.sub(lambda found: PurePosixPath(found[0]).name, value)


def names_places(value: Any) -> bool:
    """Whether a value of JSON has such a path."""
    return bool(without_places(value) != value)


def command_without_places(command: str) -> str:
    """The same of a command line, whose words may be JSON."""
    return shlex.join(map(_word_without_places, shlex.split(command)))


def _word_without_places(word: str) -> str:
    if word[:1] in ("{", "["):
        try:
            return canonical_json(without_places(json.loads(word)))
        except ValueError:
            pass
    return str(without_places(word))
