"""The digest of a program changes with what its code does, however deep, and with nothing else."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layerscope.core import code, code_cache

SOURCES = {
    "train.py": """
        import argparse
        import numpy as np
        from layerscope.stage import fit

        def main():
            fit(1)
    """,
    "draw.py": """
        from layerscope import paint as brush

        def main():
            brush.line()
    """,
    "show.py": """
        def main():
            from layerscope.web.page import PAGE
    """,
    "report.py": """
        def main():
            import layerscope.deep.helper as helper
            helper.help_out(2)
    """,
    "layerscope/__init__.py": '"""A package."""\n',
    "layerscope/stage.py": """
        from .deep import helper

        def fit(x):
            return helper.help_out(x)
    """,
    "layerscope/paint.py": """
        def line():
            return "line"
    """,
    "layerscope/web/__init__.py": "",
    "layerscope/web/page.py": """
        PAGE = "page.html"
    """,
    "layerscope/web/page.html": "<p>One</p>\n<p>Two</p>\n",
    "layerscope/web/draw.js": "draw(1);\n",
    "layerscope/web/notes.md": "One\n",
    "layerscope/alone.py": """
        VALUE = 1
    """,
    "layerscope/deep/__init__.py": """
        from . import bottom
    """,
    "layerscope/deep/helper.py": """
        from .bottom import BASE
        from ..sums import add

        def help_out(x):
            return add(x, BASE)
    """,
    "layerscope/deep/bottom.py": """
        BASE = 10
    """,
    "layerscope/sums.py": """
        def add(a, b):
            return a + b
    """,
}
PROGRAMS = ["train", "draw", "show", "report"]


def write_sources(folder: Path, changes: dict[str, str] | None = None) -> Path:
    for name, text in {**SOURCES, **(changes or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8", newline="")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's cache folder, empty."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    forget()
    yield folder
    forget()


def forget() -> None:
    """As a new process begins."""
    for remembered in (code._parse, code._assets, code._module_file, code_cache.code_cache):
        remembered.cache_clear()


def digests(folder: Path) -> dict[str, str]:
    forget()
    return {program: code.code_digest(program, scripts=folder) for program in PROGRAMS}


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[dict[str, str]], set[str]]:
    """Gives the programs whose digest differs when some sources have another text."""

    def compare(changes: dict[str, str]) -> set[str]:
        before = digests(write_sources(tmp_path))
        after = digests(write_sources(tmp_path, changes))
        return {program for program in PROGRAMS if before[program] != after[program]}

    return compare


Changed = Callable[[dict[str, str]], set[str]]


def test_modules_of_a_program_are_those_it_imports(tmp_path: Path) -> None:
    write_sources(tmp_path)
    deep = ["layerscope.deep", "layerscope.deep.bottom", "layerscope.deep.helper"]
    assert list(code.code_modules("train", scripts=tmp_path)) == [
        "layerscope",
        *deep,
        "layerscope.stage",
        "layerscope.sums",
        "train",
    ]
    assert list(code.code_modules("draw", scripts=tmp_path)) == [
        "draw",
        "layerscope",
        "layerscope.paint",
    ]
    assert list(code.code_modules("report", scripts=tmp_path)) == [
        "layerscope",
        *deep,
        "layerscope.sums",
        "report",
    ]
    assert list(code.code_modules("show", scripts=tmp_path)) == [
        "layerscope",
        "layerscope.web",
        "layerscope.web.page",
        "layerscope/web/draw.js",
        "layerscope/web/page.html",
        "show",
    ]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("layerscope/sums.py", "# adds\ndef add(a, b):\n    return a + b  # the sum\n"),
        ("layerscope/sums.py", "def add(\n    a,\n    b,\n):\n\n    return (a + b)\n"),
        ("layerscope/sums.py", '"""Sums."""\n\ndef add(a, b):\n    """Add."""\n    return a + b\n'),
        ("layerscope/paint.py", "def line():\n    return 'line'\n"),
        ("layerscope/deep/bottom.py", "BASE = 1_0\n"),
        ("layerscope/__init__.py", '"""Another text."""\n'),
        ("layerscope/__init__.py", ""),
        ("layerscope/web/page.html", "<p>One</p>\r\n<p>Two</p>\r\n"),
        ("layerscope/web/notes.md", "Two\n"),
    ],
    ids=["comments", "layout", "docstrings", "quotes", "digits", "docstring", "none left",
         "line endings", "not an asset"],
)  # fmt: skip
def test_what_a_program_does_not_do_changes_nothing(changed: Changed, file: str, text: str) -> None:
    assert changed({file: text}) == set()


@pytest.mark.parametrize(
    ("file", "text", "programs"),
    [
        ("layerscope/sums.py", "def add(a, b):\n    return b + a\n", {"train", "report"}),
        ("layerscope/deep/bottom.py", "BASE = 11\n", {"train", "report"}),
        ("layerscope/deep/__init__.py", "from . import bottom\nX = 1\n", {"train", "report"}),
        ("layerscope/stage.py", "def fit(x):\n    return x\n", {"train"}),
        ("layerscope/paint.py", "def line():\n    return 'dash'\n", {"draw"}),
        ("layerscope/alone.py", "VALUE = 2\n", set()),
        ("layerscope/__init__.py", "X = 1\n", {"train", "draw", "show", "report"}),
        ("draw.py", "def main():\n    pass\n", {"draw"}),
        ("layerscope/paint.py", 'def line():\n    "doc"\n    "not doc"\n    return "line"\n',
         {"draw"}),
        ("layerscope/web/page.html", "<p>One</p>\n", {"show"}),
        ("layerscope/web/draw.js", "draw(1); // a comment counts\n", {"show"}),
        ("layerscope/web/new.css", "p { margin: 0; }\n", {"show"}),
        ("layerscope/new.css", "p { margin: 0; }\n", {"train", "draw", "show", "report"}),
        ("layerscope/elsewhere/page.html", "<p>One</p>\n", set()),
        ("draw.js", "draw(1);\n", set()),
    ],
)  # fmt: skip
def test_an_edit_changes_exactly_the_programs_that_use_it(
    changed: Changed, file: str, text: str, programs: set[str]
) -> None:
    assert changed({file: text}) == programs


def test_a_new_import_brings_its_module_in(changed: Changed, tmp_path: Path) -> None:
    paint = "from layerscope import alone\n\ndef line():\n    return 'line'\n"
    assert changed({"layerscope/paint.py": paint}) == {"draw"}
    before = digests(write_sources(tmp_path, {"layerscope/paint.py": paint}))
    after = digests(
        write_sources(
            tmp_path, {"layerscope/paint.py": paint, "layerscope/alone.py": "VALUE = 2\n"}
        )
    )
    assert {p for p in PROGRAMS if before[p] != after[p]} == {"draw"}


def test_modules_that_import_each_other_end(tmp_path: Path) -> None:
    write_sources(
        tmp_path,
        {
            "layerscope/sums.py": "def add(a, b):\n    from layerscope import paint\n",
            "layerscope/paint.py": "from layerscope import sums\n",
        },
    )
    assert set(code.code_modules("draw", scripts=tmp_path)) == {
        "draw",
        "layerscope",
        "layerscope.paint",
        "layerscope.sums",
    }


def test_a_touched_file_in_another_folder_changes_nothing(tmp_path: Path) -> None:
    here, there = write_sources(tmp_path / "here"), write_sources(tmp_path / "there")
    before = digests(here)
    for path in here.rglob("*.py"):
        os.utime(path, (1, 1))
    assert digests(here) == before
    assert digests(there) == before


def test_a_part_brings_in_what_it_imports_and_nothing_of_other_parts(tmp_path: Path) -> None:
    write_sources(tmp_path)
    found = code.code_modules("draw", "deep.helper", tmp_path)
    assert {"draw", "layerscope.paint", "layerscope.deep", "layerscope.deep.helper"} <= set(found)
    alone = code.code_digest("draw", "alone", tmp_path)
    helper = code.code_digest("draw", "deep.helper", tmp_path)
    assert len({alone, helper, code.code_digest("draw", scripts=tmp_path)}) == 3
    edited = write_sources(tmp_path / "edited", {"layerscope/alone.py": "VALUE = 2\n"})
    assert code.code_digest("draw", "alone", edited) != alone
    assert code.code_digest("draw", "deep.helper", edited) == helper


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no module layerscope\.nothing"):
        code.code_digest("draw", "nothing", write_sources(tmp_path))


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no program .*nothing\.py"):
        code.code_digest("nothing", scripts=tmp_path)


# --- the cache -----------------------------------------------------------------------------------


def test_a_source_is_parsed_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(write_sources(tmp_path))
    (file,) = (cache / "layerscope").iterdir()
    monkeypatch.setattr(code.ast, "parse", None)
    assert digests(tmp_path) == before
    # A copy elsewhere and later has the same content.
    assert digests(write_sources(tmp_path / "copy")) == before
    with pytest.raises(TypeError):
        digests(write_sources(tmp_path, {"layerscope/sums.py": "def add(): pass\n"}))
    file.unlink()
    with pytest.raises(TypeError):
        digests(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}', '{"a": [1, 2, 3]}'])
def test_a_damaged_cache_is_made_again(tmp_path: Path, cache: Path, text: str) -> None:
    before = digests(write_sources(tmp_path))
    (file,) = (cache / "layerscope").iterdir()
    whole = file.read_bytes()
    file.write_text(text)
    assert digests(tmp_path) == before
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, cache: Path) -> None:
    cache.write_text("no folder")
    assert len(set(digests(write_sources(tmp_path)).values())) == len(PROGRAMS)


def test_the_cache_does_not_grow_for_ever(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_cache, "MOST", 15)
    for text in range(20):
        digests(
            write_sources(
                tmp_path,
                {
                    "layerscope/alone.py": f"VALUE = {text}\n",
                    "layerscope/sums.py": f"add = {text}\n",
                },
            )
        )
    (file,) = (cache / "layerscope").iterdir()
    assert len(json.loads(file.read_text())) <= 15
