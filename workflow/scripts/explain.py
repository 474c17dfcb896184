"""Report which jobs of a study would run now, and why, from a dry run and the run records."""

from __future__ import annotations

import argparse
import json
import os
import platform
from functools import cache
from importlib.metadata import version

from layerscope.runtime.program import run


def main() -> None:
    """Plan as Snakemake would, compare each job with its record, and print why it runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--call", required=True, help="JSON: how Snakemake was called")
    arguments = parser.parse_args()

    from layerscope.core.code import code_modules
    from layerscope.provenance.explanation import Facts, explanation, program_of
    from layerscope.provenance.planned import Planned, planned
    from layerscope.run_records.content import cached_sha256, read_record, record_path

    modules = cache(code_modules)
    digest = cache(cached_sha256)

    def facts(job: Planned) -> Facts:
        if not job.outputs:
            return Facts(None)
        program, _, given = program_of(job.command)
        return Facts(
            record=read_record(record_path(job.outputs[0])),
            modules=modules(program, given.get("part")),
            packages={name: version(name) for name in given["packages"]},
            python=platform.python_version(),
            missing=tuple(path for path in job.outputs if not os.path.exists(path)),
            digests={os.path.normpath(path): digest(path) for path in job.updated},
        )

    jobs = planned(json.loads(arguments.call))
    print(explanation([(job, facts(job)) for job in jobs if job.reason], len(jobs)))


if __name__ == "__main__":
    run(main)
