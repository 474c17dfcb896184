"""Report what a study will cost before anything is submitted: jobs, hours, memory and disk."""

from __future__ import annotations

import argparse
import json

from layerscope.runtime.program import run


def main() -> None:
    """Plan as Snakemake would, add up what all jobs need, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--call", required=True, help="JSON: how Snakemake was called")
    parser.add_argument("--rule", required=True, help="name of this rule")
    parser.add_argument("--configuration", required=True, help="JSON of a whole study")
    arguments = parser.parse_args()

    from layerscope.config.load import validate
    from layerscope.provenance.planned import planned
    from layerscope.resources.estimate import estimate, in_words
    from layerscope.resources.sizes import read_sizes

    study = validate(json.loads(arguments.configuration))
    prefix = arguments.rule.removesuffix("estimate")  # of all rules, where they are a module's
    # A target has no command. Extracting is the same work if its activations do not stay.
    jobs = [
        (job.rule.removeprefix(prefix).removesuffix("_temp"), job.wildcards)
        for job in planned(json.loads(arguments.call))
        if job.command and job.rule.startswith(prefix)
    ]
    print(in_words(study, estimate(study, read_sizes(study), jobs)))


if __name__ == "__main__":
    run(main)
