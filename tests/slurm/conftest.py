"""A SLURM for the tests of this folder; without one they are skipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster import lab, missing


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    lab("down")  # of a run of the tests that was killed
    lab("up")
    yield
    lab("down")
