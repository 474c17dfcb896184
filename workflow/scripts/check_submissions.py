"""Ask SLURM whether it would accept one job of each kind; nothing is submitted."""

from __future__ import annotations

import argparse
import json

from layerscope.runtime.program import run


def main() -> None:
    """Plan as Snakemake would, and ask for the longest job of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--call", required=True, help="JSON: how Snakemake was called")
    arguments = parser.parse_args()

    from layerscope.core.errors import UserError
    from layerscope.provenance.planned import planned_and_submitted
    from layerscope.resources.sbatch import ask, in_words
    from layerscope.resources.submissions import partition_file, partitions_of

    call = json.loads(arguments.call)
    if "partition_config" not in call["engine"]:
        raise UserError(
            "check asks SLURM, to which this command would send no job; allowed: --profile "
            "profiles/slurm, or a copy of it"
        )
    choose = partitions_of(partition_file(call["engine"]))
    _, submitted = planned_and_submitted(call)
    print(in_words(ask(submitted, choose, call["engine"])))


if __name__ == "__main__":
    run(main)
