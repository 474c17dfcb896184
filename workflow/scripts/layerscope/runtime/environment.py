"""The environment that jobs inherit, and who may read what they write."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from layerscope.core.errors import UserError


def set_up_jobs() -> None:
    """Put this interpreter's folder first on PATH, so jobs run in the same environment.

    A virtual environment need not be activated then. An environment of --sdm conda is activated
    later, inside the job, and goes before it. Programs find the library beside them, which
    PYTHONSAFEPATH would prevent.
    """
    os.environ.pop("PYTHONSAFEPATH", None)
    folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])


@cache
def distributions_of(package: str) -> list[str]:
    """Names of the distributions that ship an import package, as `packages_distributions` says.

    Usually it is one of that name; looking through all that is installed takes half a second.
    """
    if not package.isidentifier():  # the name of a distribution, such as scikit-learn
        return []
    try:
        found = distribution(package)
    except PackageNotFoundError:
        return packages_distributions().get(package, [])
    shipped = (found.read_text("top_level.txt") or package).split()
    return [found.name] if package in shipped else packages_distributions().get(package, [])


def tune_gc() -> None:
    """Let Python look for unreachable objects less often.

    A plan holds millions of objects, nearly all of which stay, and Python looks through them again
    and again: a sixth of a dry run's time. Memory is the same to 1 %.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def keep_private(folders: Iterable[str | Path]) -> None:
    """Let this user alone read what this process and its jobs write from now on.

    Nobody else reaches what lies below `folders` either, whatever was written there before.

    Raises:
        UserError: a folder belongs to somebody else.
    """
    os.umask(0o077)
    for folder in map(Path, folders):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError as error:
            raise UserError(
                f"{folder}: {error.strerror}, so it cannot be kept private for the credentialed "
                "data; allowed: a folder of your own"
            ) from None
