"""Lists and numbers in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def few(names: Sequence[str], most: int = 3, separator: str = ", ") -> str:
    """The first of some names, and how many more there are.

    >>> few(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    >>> few([])
    'none'
    """
    if not names:
        return "none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return separator.join(names[:most]) + more


def counted(number: int, noun: str) -> str:
    """A number of things, in the plural unless it is one.

    >>> counted(1, "job"), counted(2_000, "job")
    ('1 job', '2,000 jobs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
