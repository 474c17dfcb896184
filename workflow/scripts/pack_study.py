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

    from layerscope.core.files import sha256_file
    from layerscope.provenance.pack import pack
    from layerscope.provenance.studies import read_study

    said = pack(read_study(".", arguments.study), json.loads(arguments.targets), arguments.out)
    size = arguments.out.stat().st_size / 1e6
    print(f"{arguments.out}: {size:.1f} MB, sha256 {sha256_file(arguments.out)}")
    print(f"{said} Its README.txt says how to verify it.")


if __name__ == "__main__":
    run(main)
