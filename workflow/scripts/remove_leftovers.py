"""List, or remove, what an earlier configuration left in a study's folder."""

from __future__ import annotations

import argparse
import json

from layerscope.runtime.program import run


def main() -> None:
    """Plan the study as Snakemake would, and find what its plan does not make."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--call", required=True, help="JSON: how Snakemake was called")
    parser.add_argument("--target", required=True, help="rule that asks for the whole study")
    parser.add_argument("--study", required=True, help="name of a folder of results/")
    parser.add_argument("--tasks", nargs="+", required=True, help="of the configuration")
    parser.add_argument("--models", nargs="+", required=True, help="of the configuration")
    parser.add_argument("--remove", action="store_true", help="remove it instead of listing it")
    arguments = parser.parse_args()

    from layerscope.config.targets import REPORT
    from layerscope.provenance.leftovers import (
        in_words,
        leftovers,
        remove_leftovers,
        require_same_study,
    )
    from layerscope.provenance.planned import planned
    from layerscope.provenance.studies import read_study

    jobs = planned(json.loads(arguments.call) | {"targets": [arguments.target]})
    study = read_study(".", arguments.study)
    require_same_study(study, arguments.tasks, arguments.models)
    outputs = [path for job in jobs for path in job.outputs]
    found = leftovers(study, [*outputs, f"results/{study.name}/{REPORT}"])
    if arguments.remove:
        remove_leftovers(found)
    how = "run `snakemake remove_leftovers` instead."
    print(in_words(found, arguments.remove, how))


if __name__ == "__main__":
    run(main)
