"""What lies in a study's folder, belongs there, and is not audited: no job of the study made it."""

from __future__ import annotations

import os
import re

from layerscope.config.targets import REPORT
from layerscope.provenance.studies import PACKED, Study

#: Names below results/{study}, and what each is.
OUTSIDE = {
    "benchmarks": "Snakemake's run times",
    "checkpoints": "checkpoints of unfinished training",
    "crate": "an RO-Crate, which its own digests verify",
    "audit.html": "the page of an earlier audit",
    REPORT: "a report written by Snakemake's own --report",
    "report.zip": "a report written by Snakemake's own --report",
    PACKED: "the list of what this archive leaves out",
    "pack.zip": "an archive; unzip it and audit the study in it",
}
#: What a killed program leaves of such a file until the next one writes it.
_BEGUN = re.compile(r"\.(.+)\.[^.]+\.(?:partial|old)")


def what_is(study: Study, path: str) -> str | None:
    """What something outside the audit is; None for anything else.

    Args:
        study: with its records.
        path: from its root, of a file or folder, or of something in such a folder.
    """
    name = path.removeprefix(f"results/{study.name}/").split("/")[0]
    begun = _BEGUN.fullmatch(name)
    known = OUTSIDE.get(begun[1] if begun else name)
    return known if path not in study.made else None


def all_outside(study: Study) -> list[str]:
    """Names of what there is of it."""
    paths = {name: f"results/{study.name}/{name}" for name in OUTSIDE}
    return [
        name
        for name, path in paths.items()
        if path not in study.made and os.path.lexists(study.place(path))
    ]
