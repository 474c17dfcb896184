"""Report what a study will cost before anything is submitted: jobs, hours, memory and disk."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

from layerscope.runtime.program import run


def main() -> None:
    """Plan as Snakemake would, add up what all jobs need, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--call", required=True, help="JSON: how Snakemake was called")
    parser.add_argument("--rule", required=True, help="name of this rule")
    parser.add_argument("--configuration", required=True, help="JSON of a whole study")
    arguments = parser.parse_args()

    from layerscope.config.load import validate
    from layerscope.provenance.planned import planned_and_submitted
    from layerscope.resources.choices import choices, choices_in_words
    from layerscope.resources.estimate import estimate, in_words, submitted_in_words
    from layerscope.resources.sizes import read_sizes
    from layerscope.resources.submissions import kinds, misfits, partition_file, partitions_of

    study = validate(json.loads(arguments.configuration))
    prefix = arguments.rule.removesuffix("estimate")  # of all rules, where they are a module's
    call = json.loads(arguments.call)
    planned, submitted = planned_and_submitted(call)

    def name(rule: str) -> str:
        """Extracting is the same work if its activations do not stay."""
        return rule.removeprefix(prefix).removesuffix("_temp")

    # A target has no command.
    jobs = [
        (name(job.rule), job.wildcards)
        for job in planned
        if job.command and job.rule.startswith(prefix)
    ]
    sizes = read_sizes(study)
    print(in_words(study, estimate(study, sizes, jobs)))
    print("\n" + choices_in_words(study, choices(study, sizes, jobs)))
    if not call["local"]:
        path = partition_file(call["engine"])
        sent = [replace(each, name=name(each.name)) for each in submitted]
        found = kinds(sent, partitions_of(path))
        print("\n" + submitted_in_words(found), *misfits(found, path), sep="\n")


if __name__ == "__main__":
    run(main)
