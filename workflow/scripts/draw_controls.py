"""Draw the controls of the probes by layer: half of the input, and selectivity."""

from __future__ import annotations

import argparse

from layerscope.plotting.controls import panels
from layerscope.plotting.layers import draw
from layerscope.plotting.style import save
from layerscope.program import run
from layerscope.tables import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--probes", required=True, help="table of probe scores")
    parser.add_argument("--out", required=True, help="SVG; PDF and PNG go beside it")
    arguments = parser.parse_args()

    rows = read_task(arguments.probes, "probes-table", arguments.task).to_pylist()
    save(draw(rows, panels(rows)), arguments.out)


if __name__ == "__main__":
    run(main)
