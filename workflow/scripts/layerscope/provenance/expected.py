"""What a study should have, by the configuration beside its results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from layerscope.config.jobs import transient_variants
from layerscope.config.load import validate
from layerscope.config.targets import CONFIGURATION, REPORT, targets
from layerscope.core.errors import UserError
from layerscope.core.files import read_json
from layerscope.provenance.checks import Finding
from layerscope.provenance.leftovers import jobs_without
from layerscope.provenance.studies import Study
from layerscope.run_records.content import Record


class Expected(NamedTuple):
    """Results that a configuration asks for, and what it lets go."""

    results: list[str]  # paths from the study's root
    transient: frozenset[str]  # variants whose activations need not stay

    def missing(self, study: Study) -> Iterator[Finding]:
        """What is asked for and neither made nor there."""
        for path in self.results:
            if path not in study.made and not os.path.exists(study.place(path)):
                message = "the study's configuration asks for it; neither it nor its record exists"
                yield Finding(path, "missing", message)

    def left_over(self, study: Study) -> list[str]:
        """Figures, tables and pages that jobs made and the configuration no longer asks for."""
        top = f"results/{study.name}"
        shown = {top, f"{top}/figures", f"{top}/tables"}
        asked = {*self.results, f"{top}/{REPORT}"}
        made = [path for _, paths in jobs_without(study, asked) for path in paths]
        return sorted(path for path in made if os.path.dirname(path) in shown)

    def check_temporary(self, file: str, path: str, record: Record) -> Iterator[Finding]:
        """Whether an output may be gone that a record calls temporary.

        Args:
            file: name of the record.
            path: of the output.
            record: of the job that made it.
        """
        activations = path.startswith(f"results/{record['study']}/activations/")
        if not activations or record["wildcards"].get("variant") not in self.transient:
            message = f"it says that {path} was made to be removed; the configuration keeps it"
            yield Finding(file, "record", message)


def expected(study: Study) -> Expected | str:
    """What the configuration that a study keeps asks for; in words why that cannot be known."""
    path = study.place(f"results/{study.name}/{CONFIGURATION}")
    try:
        found = read_json(path) if path.is_file() else None
        if not isinstance(found, dict):
            return f"{path.name}: not the configuration of a study"
        configuration = validate(found)
    except (UserError, RecursionError) as error:
        return str(error).partition("\n")[0]
    prefix = f"results/{study.name}"
    results = [f"{prefix}/{name}" for names in targets(configuration).values() for name in names]
    return Expected(results, frozenset(transient_variants(configuration)))
