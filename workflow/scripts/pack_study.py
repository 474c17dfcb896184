"""Pack a finished study into one archive that somebody else can verify without the checkout."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from layerscope.runtime.program import run


def main() -> None:
    """Write the archive of the study in the working directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of a folder of results/")
    parser.add_argument("--targets", required=True, help="JSON: paths of what the study gives")
    parser.add_argument("--out", type=Path, required=True, help="ZIP file")
    arguments = parser.parse_args()

    from layerscope.provenance.pack import pack_and_say
    from layerscope.provenance.studies import read_study

    targets = json.loads(arguments.targets)
    print(pack_and_say(read_study(".", arguments.study), targets, arguments.out))


if __name__ == "__main__":
    run(main)
