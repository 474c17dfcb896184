"""Which study somebody means, and where the checkout is."""

from __future__ import annotations

import os
from pathlib import Path

from layerscope.core.code import SCRIPTS
from layerscope.core.errors import UserError
from layerscope.provenance.studies import find_study

CHECKOUT = SCRIPTS.parent.parent


def require_study(folder: str | os.PathLike[str]) -> tuple[Path, str, Path]:
    """The study in a folder, which may have been copied or renamed.

    Returns:
        Working directory, the name that the study was run by, and its folder.

    Raises:
        UserError: there is no such folder, or it is not that of a study.
    """
    path = Path(os.path.abspath(folder))
    found = find_study(path)
    if not path.exists():
        beside = [each for each in sorted(path.parent.glob("*")) if each.is_dir()]
        known = [os.path.relpath(each) for each in beside if find_study(each)]
        there = ", ".join(known) or f"none is in {path.parent}"
        raise UserError(f"{folder}: no such folder; allowed: the folder of a study ({there})")
    if found is None:
        raise UserError(
            f"{folder}: not a study, since it has no config.json; allowed: the whole folder of a "
            "study, such as results/demo or a copy of it"
        )
    if found[2] != path:
        raise UserError(f"{folder}: inside a study's folder; allowed: that folder, {found[2]}")
    return found
