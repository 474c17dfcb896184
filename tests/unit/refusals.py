"""What an error says of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.core.errors import UserError


def one_line(error: pytest.ExceptionInfo[UserError], path: Path) -> str:
    (line,) = str(error.value).splitlines()
    assert line.startswith((f"{path}: ", f"{path}/"))
    return line
