"""Runs of the miniature on the lab's SLURM."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from running import Finished


def copy_run(finished: Finished, to: Path, without: tuple[str, ...]) -> Finished:
    """The finished study in another folder, less some of its files.

    Large files are linked: jobs replace files, they do not write into them.
    """

    def copy(source: str, target: str) -> None:
        large = os.path.getsize(source) > 100_000
        (os.link if large else shutil.copy2)(source, target)

    shutil.copytree(finished.folder, to, copy_function=copy)
    shutil.rmtree(to / "logs")
    for pattern in without:
        found = list(to.glob(f"results/*/{pattern}"))
        assert found, pattern
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return finished._replace(folder=to)


def on_slurm(study: Finished) -> list[str | Path]:
    """Options of a run, with the waits of a small cluster."""
    return [
        *("--profile", study.workflow / "profiles" / "slurm", "--configfile", study.config),
        *("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10"),
        *("--jobs", "8", "--nocolor"),
    ]
