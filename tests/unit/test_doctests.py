"""Examples in the docstrings of what a notebook calls."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "module", ["core.formats.activations", "core.formats.tables", "extraction.texts"]
)
def test_examples_hold(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(f"layerscope.{module}"))
    assert found.attempted > 0
    assert found.failed == 0
