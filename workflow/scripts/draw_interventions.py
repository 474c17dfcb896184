"""Draw what masked heads and an erased label cost in score."""

from __future__ import annotations

import argparse

from layerscope.plotting.interventions import draw
from layerscope.plotting.style import save
from layerscope.program import run
from layerscope.tables import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--interventions", required=True, help="table of interventions")
    parser.add_argument("--out", required=True, help="SVG; PDF and PNG go beside it")
    arguments = parser.parse_args()

    table = read_task(arguments.interventions, "interventions-table", arguments.task)
    save(draw(table.to_pylist()), arguments.out)


if __name__ == "__main__":
    run(main)
