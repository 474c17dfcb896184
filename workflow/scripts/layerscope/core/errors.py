"""The one exception that is meant for the user, and how values are shown in its message."""

from __future__ import annotations

import re
from reprlib import Repr

#: Characters of a name and of a line that are shown; of a longer one, the beginning and the end.
_LONGEST_WORD, _LONGEST_LINE = 300, 2000
_LONG_WORD = re.compile(rf"\S{{{_LONGEST_WORD + 1},}}")
_LONG_LINE = re.compile(rf".{{{_LONGEST_LINE + 1},}}")
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 20

#: Characters that move a terminal's cursor, begin a line, turn the order of text, or are no text.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class UserError(Exception):
    """Something the user can fix: the message names the culprit, its value and what is allowed.

    It is shown as one line and never as a traceback; long names in it are shortened.
    """

    def __init__(self, message: str) -> None:
        """Take the message."""
        message = _LONG_WORD.sub(lambda found: _cut(found[0], _LONGEST_WORD), message)
        super().__init__(_LONG_LINE.sub(lambda found: _cut(found[0], _LONGEST_LINE), message))


class NotApplicableError(UserError):
    """Something that a model does not have, so that an analysis of it is left out."""


def _cut(text: str, most: int) -> str:
    half = most // 2
    return f"{text[:half]}…{text[-half:]}"


def show(value: object) -> str:
    """A value in an error line, shortened."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # Python does not write a number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def printable(text: str) -> str:
    r"""A text on one line as a terminal may get it, whoever chose the names in it.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)
