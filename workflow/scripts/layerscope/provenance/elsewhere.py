"""What a study's records name and the study was handed over without: it is elsewhere, not lost.

An archive says what it leaves out. A folder that was handed over alone lies without the checkout
whose programs made it; with them, captions and configuration files are absent.
"""

from __future__ import annotations

import os
import shlex
from pathlib import PurePath

from layerscope.config.targets import CONFIGURATION, REPORT
from layerscope.provenance.studies import Study


def is_caption(study: Study, path: str) -> bool:
    """Whether a path is that of a caption of the workflow, which the report was made from."""
    program = _program(study, REPORT)
    if program is None or not path.endswith(".rst"):
        return False
    captions = PurePath(program).parent.parent / "report"
    return os.path.dirname(path) == os.path.normpath(captions)


def lacks_checkout(study: Study, made: str = CONFIGURATION) -> bool:
    """Whether the checkout that a result was made by is not where its record says.

    Args:
        study: with its records.
        made: name of the result in the study's folder.
    """
    program = _program(study, made)
    return program is not None and not study.place(program).is_file()


def is_elsewhere(study: Study, path: str) -> bool:
    """Whether a result or input is not here and known by its digest alone, which is no fault."""
    if os.path.lexists(study.place(path)):
        return False
    return path in study.left_out or (is_caption(study, path) and lacks_checkout(study, REPORT))


def _program(study: Study, made: str) -> str | None:
    """The program that made a result, as seen from the working directory of its job."""
    kept = study.made.get(f"results/{study.name}/{made}")
    words = shlex.split(kept.record["command"]) if kept else []
    return words[1] if words[1:] else None
