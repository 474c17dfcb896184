"""Texts on a command line, and those that are too long for one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

#: Bytes of a text on a command line; Linux takes 131,072 in an argument.
LONGEST = 60_000
_PIPE = re.compile(r"@(/dev/fd/\d+)")
_BY_PIPE = ("@<(printf", "%s")  # words of bash before the text


def argument(text: str) -> str:
    """A text as a word of a bash command, which gives one that is too long by a pipe.

    >>> argument('{"a": 1}')
    '\'{"a": 1}\''
    """
    word = shlex.quote(text)
    return word if len(word.encode()) < LONGEST else f"{' '.join(_BY_PIPE)} {word})"


def words_of(command: str) -> list[str]:
    """Words of a bash command as its program has them: with the texts that `argument` pipes.

    Raises:
        ValueError: a quotation has no end.
    """
    found: list[str] = []
    for word in shlex.split(command):
        if tuple(found[-2:]) == _BY_PIPE:
            found[-2:] = [word.removesuffix(")")]
        else:
            found.append(word)
    return found


def with_pipes_read(argv: Sequence[str]) -> list[str]:
    """A command line with the texts of pipes, `@/dev/fd/N`, in place of their names."""
    found = [_PIPE.fullmatch(word) for word in argv]
    return [
        Path(pipe[1]).read_text(encoding="utf-8") if pipe else word
        for word, pipe in zip(argv, found, strict=True)
    ]
