"""Write the report of a finished study: each figure with its caption, in one page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from layerscope.runtime.program import run


def main() -> None:
    """Plan as Snakemake would, and let it write its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--call", required=True, help="JSON: how Snakemake was called")
    parser.add_argument("--target", required=True, help="rule that asks for the whole study")
    parser.add_argument("--out", type=Path, required=True, help="HTML")
    arguments = parser.parse_args()

    from layerscope.provenance.report import write_report

    call = json.loads(arguments.call) | {"targets": [arguments.target]}
    write_report(call, arguments.out)


if __name__ == "__main__":
    run(main)
