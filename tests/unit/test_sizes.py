"""No file and no function of the programs and the library is too long."""

from __future__ import annotations

import ast
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
FILE_LINES, FUNCTION_LINES = 400, 60


def long_functions(text: str) -> list[str]:
    """Names of the functions of a source that have more lines than allowed, docstring included."""
    return [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
    ]


def test_no_file_and_no_function_is_too_long() -> None:
    texts = {
        path.relative_to(SCRIPTS).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(SCRIPTS.rglob("*.py"))
    }
    assert texts
    assert [name for name, text in texts.items() if text.count("\n") > FILE_LINES] == []
    found = {
        f"{name} {function}" for name, text in texts.items() for function in long_functions(text)
    }
    assert found == set()


def test_a_function_that_is_too_long_is_found() -> None:
    body = "    pass\n" * (FUNCTION_LINES - 1)
    assert long_functions(f"def fits():\n{body}") == []
    assert long_functions(f"class A:\n  def long(self):\n{body}    pass\n") == ["long"]
