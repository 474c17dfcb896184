"""Draw calibration, F1 of each class, and F1 of seen and unseen entities."""

from __future__ import annotations

import argparse

from layerscope.plotting.evaluation import draw
from layerscope.plotting.style import save
from layerscope.program import run
from layerscope.tables import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--evaluation", required=True, help="table of evaluation")
    parser.add_argument("--out", required=True, help="SVG; PDF and PNG go beside it")
    arguments = parser.parse_args()

    rows = read_task(arguments.evaluation, "evaluation-table", arguments.task).to_pylist()
    save(draw(rows), arguments.out)


if __name__ == "__main__":
    run(main)
