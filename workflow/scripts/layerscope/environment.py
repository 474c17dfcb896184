"""The environment that jobs inherit."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def use_this_python() -> None:
    """Put this interpreter's folder first on PATH, so jobs run in the same environment.

    A virtual environment need not be activated then. An environment of --sdm conda is activated
    later, inside the job, and goes before it.
    """
    folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
