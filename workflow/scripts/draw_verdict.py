"""Draw our scores beside published ones."""

from __future__ import annotations

import argparse

from layerscope.formats import read_table
from layerscope.plotting.style import save
from layerscope.plotting.verdict import draw
from layerscope.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verdict", required=True, help="table of verdicts")
    parser.add_argument("--out", required=True, help="SVG; PDF and PNG go beside it")
    arguments = parser.parse_args()

    save(draw(read_table(arguments.verdict, "verdict-table").to_pylist()), arguments.out)


if __name__ == "__main__":
    run(main)
