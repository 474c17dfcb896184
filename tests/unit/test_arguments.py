"""Texts that are too long for a command line reach programs all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope.runtime.arguments import LONGEST, argument, with_pipes_read
from layerscope.runtime.program import __file__ as program

SCRIPTS = Path(program).parents[2]


@pytest.mark.parametrize("text", ["", "it's", "é $x `y` \\ \n", "@/dev/fd/x"])
def test_a_short_text_is_a_quoted_word(text: str) -> None:
    ran = subprocess.run(
        ["bash", "-c", f"printf %s {argument(text)}"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == text
    assert with_pipes_read([text]) == [text]


def test_a_text_longer_than_any_argument_arrives_whole() -> None:
    """Ten thousand mapped labels."""
    text = json.dumps({f"value '{number}'": f"läbel {number}" for number in range(10_000)})
    assert len(text) > 2 * 131_072 > LONGEST
    script = (
        "import sys; from layerscope.runtime.arguments import with_pipes_read;"
        " print(with_pipes_read(sys.argv)[2], end='')"
    )
    command = f'"{sys.executable}" -c "{script}" --settings {argument(text)}'
    ran = subprocess.run(
        ["bash"], input=command, cwd=SCRIPTS, capture_output=True, text=True, check=True
    )
    assert ran.stdout == text
