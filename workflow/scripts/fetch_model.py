"""Copy a model into resources/, keep what is needed, and record where it came from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from layerscope.program import run


def main() -> None:
    """Find the source, copy its files, write their digests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the model's source")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    arguments = parser.parse_args()

    from layerscope.files import whole_directory
    from layerscope.sources import copy_model

    with whole_directory(arguments.out) as out:
        copy_model(json.loads(arguments.settings), out)


if __name__ == "__main__":
    run(main)
