"""Compare two studies or two commits, as `layerscope compare` does."""

from __future__ import annotations

import argparse

from layerscope.interface import compare
from layerscope.runtime.program import run


def main() -> None:
    """Read the command line, carry it out."""
    parser = argparse.ArgumentParser(description=compare.__doc__)
    compare.add_options(parser)
    compare.carry_out(parser.parse_args())


if __name__ == "__main__":
    run(main)
