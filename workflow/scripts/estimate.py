"""Say what a study will cost before anything is submitted: jobs, hours, memory and disk."""

from __future__ import annotations

import argparse
import json

from layerscope.runtime.program import run


def main() -> None:
    """Add up what all jobs of a study need, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configuration", required=True, help="JSON of a whole study")
    arguments = parser.parse_args()

    from layerscope.config.load import validate
    from layerscope.resources.estimate import estimate, in_words
    from layerscope.resources.sizes import read_sizes

    study = validate(json.loads(arguments.configuration))
    print(in_words(study, estimate(study, read_sizes(study))))


if __name__ == "__main__":
    run(main)
