"""Write the resolved configuration of a study beside its results."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from layerscope.core.files import write_json
from layerscope.runtime.program import run


def main() -> None:
    """Write the configuration as indented JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configuration", required=True, help="JSON")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_json(arguments.out, json.loads(arguments.configuration))


if __name__ == "__main__":
    run(main)
