"""What several tests of the finished miniature read."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Finished


@pytest.fixture(scope="module")
def results(finished: Finished) -> Path:
    return finished.folder / "results" / "miniature"
