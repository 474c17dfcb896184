"""The documentation as a site: every page has its place, every link and anchor leads somewhere."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_loads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    build = pytest.importorskip("mkdocs.commands.build")
    config = pytest.importorskip("mkdocs.config")
    build.build(config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path)))  # is strict
    pages = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    assert len(pages) > len([*(ROOT / "docs").glob("*.md")])  # and the page for what is not there
    for page in pages:
        assert "```" not in page  # a block that is read as text, as are lists in the next line
        assert not re.findall(r"<p>(?:[-*]|\d+\.) .*", page)
        assert not re.findall(r'<(?:script|img|iframe)\b[^>]*\bsrc="?(?:https?:)?//', page)
        assert not re.findall(
            r'<link\b[^>]*rel="?(?:stylesheet|preconnect)[^>]*href="?https?:', page
        )


def test_the_page_on_the_library_names_what_there_is() -> None:
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `(layerscope\.[\w.]+)` \|", text, re.MULTILINE)
    assert len(names) >= 20
    for name in names:
        module, _, function = name.rpartition(".")
        assert getattr(import_module(module), function).__doc__, name
