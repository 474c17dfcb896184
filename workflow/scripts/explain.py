"""Report which jobs of a study would run now, and why, from a dry run and the run records."""

from __future__ import annotations

import argparse
import json
import os

from layerscope.runtime.program import run


def main() -> None:
    """Plan as Snakemake would, compare each job with its record, and print why it runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--call", required=True, help="JSON: how Snakemake was called")
    parser.add_argument("--target", required=True, help="rule that runs by default")
    parser.add_argument("--report", required=True, help="report, included if it exists")
    arguments = parser.parse_args()

    from layerscope.provenance.explanation import explanation
    from layerscope.provenance.planned import planned
    from layerscope.provenance.stale import facts_reader, stale, stale_in_words

    call = json.loads(arguments.call)
    if os.path.exists(arguments.report):
        call["targets"] = [arguments.target, arguments.report]
    jobs = planned(call)
    facts = facts_reader()
    print(explanation([(job, facts(job)) for job in jobs if job.reason], len(jobs)))
    aside = stale_in_words(stale((job, facts(job)) for job in jobs if not job.reason))
    if aside:
        print(f"\n{aside}")


if __name__ == "__main__":
    run(main)
