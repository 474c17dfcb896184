"""English prose from the docstrings of Python source, read without importing it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from layerscope.core.errors import UserError
from layerscope.core.packages import package_folders

#: Folders that hold no documentation of the package itself.
_SKIPPED = re.compile(r"^_?(tests?|testing|vendor(ed)?|externals?|benchmarks?)$")
#: Sections that are lists of names, and not prose.
_LISTS = {"see also", "references", "methods", "raises", "warns"}
_UNDERLINE = re.compile(r"^\s*([-=~^*\"'])\1{2,}\s*$")
_BULLET = re.compile(r"^(\s*)(?:[-*+•]|\(?(?:\d+|[a-zA-Z])[.)]|\.\.(?: \[[^\]]*\])?)\s+")
_DIRECTIVE = re.compile(r"^\s*\.\. +[\w-]+::")
_ADMONITION = re.compile(r"^\s*\.\. +(note|warning|tip|important|caution)::\s*")
#: Markup to take off, in this order, and what stays of it.
_MARKUP = (
    (re.compile(r"\s*\[[^\[\]\s]+\]_"), ""),  # citations
    (re.compile(r":[\w:+-]+:`[~!]?(?:([^`<]+?)\s*<[^>]*>|([^`]*))`"), r"\1\2"),  # roles
    (re.compile(r"`([^`<]+?)\s*<[^>]*>`_{1,2}"), r"\1"),  # links
    (re.compile(r"``?([^`]+)``?_?"), r"\1"),
    (re.compile(r"\*\*?(\w(?:[^*]*\w)?)\*\*?"), r"\1"),
)
_CODE = re.compile(r"[=<>{}\[\]\\|@#$%^~`]|\*|://|__|\w\(|\w\.\w+\.\w|:math:")
_SENTENCE_END = re.compile(r"[.!?][)\"']?$")
_PLAIN_WORD = re.compile(r"^[\"'(]?[A-Za-z]+(?:['’-][A-Za-z]+)*[)\"']?[.,;:!?]*[)\"']?$")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_MIN_WORDS = 5
_MIN_PLAIN = 0.8


def package_files(package: str) -> list[tuple[str, Path]]:
    """Source files of an installed package, found without importing it; tests are left out.

    Returns:
        (`package/module.py`, path), sorted.

    Raises:
        UserError: no such package of Python source is installed.
    """
    found = []
    for root in package_folders(package):
        for path in root.rglob("*.py"):
            inside = path.relative_to(root)
            if not any(_SKIPPED.match(part) for part in inside.parts[:-1]):
                found.append((f"{package}/{inside.as_posix()}", path))
    if not found:
        raise UserError(
            f"package {package!r}: no Python source is installed; allowed: the import name of an "
            "installed package"
        )
    return sorted(found)


def package_releases(packages: Sequence[str]) -> dict[str, dict[str, str]]:
    """Distribution, version and license of installed packages; empty text for what is unknown."""
    distributions = metadata.packages_distributions()
    return {package: _release(distributions.get(package, [])) for package in packages}


def _release(names: Sequence[str]) -> dict[str, str]:
    if not names:
        return {"distribution": "", "version": "", "license": ""}
    described: Any = metadata.metadata(names[0])
    classified = [
        text.split("::")[-1].strip()
        for text in described.get_all("Classifier") or []
        if text.startswith("License ::")
    ]
    return {
        "distribution": names[0],
        "version": described["Version"],
        "license": described.get("License-Expression") or ", ".join(classified),
    }


def docstrings(source: bytes) -> Iterator[tuple[int, str]]:
    """Docstrings of a module and of what it defines, each with the line of its definition.

    A source that this Python cannot parse has none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    # Only statements are walked: expressions, most of a tree, hold no definitions.
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        blocks = (getattr(node, name, ()) for name in ("body", "handlers", "orelse", "finalbody"))
        inner = [each for block in blocks if isinstance(block, list) for each in block]
        waiting.extend(each for each in reversed(inner) if hasattr(each, "body"))
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 0), text


def prose(docstring: str) -> list[str]:
    """Paragraphs of plain English in a docstring, without markup.

    What is left out: headings, lists of names (`See Also`, `References`), the lines that name
    parameters and types (their descriptions stay), doctests, literal blocks, formulas, and what is
    not a sentence of mostly plain words.
    """
    return [text for raw in _paragraphs(docstring) if (text := _plain(raw))]


def _plain(paragraph: str) -> str:
    """The paragraph without markup, or nothing if it is no prose."""
    if ":math:" in paragraph:
        return ""
    for pattern, stays in _MARKUP:
        paragraph = pattern.sub(stays, paragraph)
    paragraph = " ".join(paragraph.split())
    words = paragraph.split()
    if len(words) < _MIN_WORDS or not _SENTENCE_END.search(paragraph) or _CODE.search(paragraph):
        return ""
    if sum(bool(_PLAIN_WORD.match(word)) for word in words) < _MIN_PLAIN * len(words):
        return ""
    return paragraph if paragraph[0].isupper() else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _paragraphs(docstring: str) -> Iterator[str]:
    """Runs of lines of one indentation, outside code, lists of names and literal blocks."""
    lines = docstring.expandtabs().split("\n")
    paragraph: list[str] = []
    level = 0  # indentation of the paragraph
    literal: int | None = None  # lines deeper than this are a literal block
    in_list = False
    in_doctest = False
    for number, line in enumerate([*lines, ""]):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        heading = bool(line.strip()) and bool(_UNDERLINE.match(following))
        bullet = _BULLET.match(line)
        new = not line.strip() or heading or bullet is not None or _indent(line) != level
        if paragraph and new:
            text = " ".join(paragraph)
            if text.endswith("::"):
                literal = min(level, _indent(lines[number - 1]))
                text = text[:-1]
            yield text
            paragraph = []
        if not line.strip():
            in_doctest = False
            continue
        if heading:
            in_list = line.strip().casefold() in _LISTS
            literal = None
            continue
        if literal is not None and _indent(line) <= literal:
            literal = None
        in_doctest = in_doctest or line.lstrip().startswith(">>>")
        if in_list or in_doctest or literal is not None or _UNDERLINE.match(line):
            continue
        if admonition := _ADMONITION.match(line):
            line = line[admonition.end() :]
            if line:
                level = -1
                paragraph = [line]
            continue
        if _DIRECTIVE.match(line):
            literal = _indent(line)
            continue
        level = bullet.end() if bullet else _indent(line)
        paragraph.append(line[bullet.end() :] if bullet else line.strip())
