"""The environment that jobs inherit."""

from __future__ import annotations

import gc

from layerscope.runtime.environment import tune_gc


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
