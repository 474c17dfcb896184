"""The one exception that is meant for the user, shown as one line and never as a traceback."""

from __future__ import annotations

import re

#: Characters that move a terminal's cursor, begin a line, turn the order of text, or are no text.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class UserError(Exception):
    """Something the user can fix: the message names the culprit, its value and what is allowed."""


def printable(text: str) -> str:
    r"""A text on one line as a terminal may get it, whoever chose the names in it.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)
