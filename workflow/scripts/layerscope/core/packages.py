"""Installed Python packages, found without importing them."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def package_folders(name: str) -> list[Path]:
    """The folders of an installed import package; none of what is not installed or no package."""
    try:
        found = importlib.util.find_spec(name) if name.isidentifier() else None
    except ValueError:  # a module that was not imported from a file, such as `__main__`
        found = None
    return [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []
