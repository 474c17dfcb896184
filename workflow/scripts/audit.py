"""Audit a study or a result, as `layerscope audit` does.

The rule `report` calls this, and so does who verifies an archive.
"""

from __future__ import annotations

import argparse

from layerscope.interface import audit
from layerscope.runtime.program import run


def main() -> None:
    """Read the command line, carry it out."""
    parser = argparse.ArgumentParser(
        description=audit.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    audit.add_options(parser)
    audit.carry_out(parser.parse_args())


if __name__ == "__main__":
    run(main)
