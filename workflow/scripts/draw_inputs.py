"""Draw the best layer's score by what a probe is given of it: pooling, features, halves."""

from __future__ import annotations

import argparse

from layerscope.plotting.inputs import draw
from layerscope.plotting.style import save
from layerscope.program import run
from layerscope.tables import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--probes", required=True, help="table of probe scores")
    parser.add_argument("--scores", required=True, help="table of scores")
    parser.add_argument("--out", required=True, help="SVG; PDF and PNG go beside it")
    arguments = parser.parse_args()

    probes = read_task(arguments.probes, "probes-table", arguments.task).to_pylist()
    scores = read_task(arguments.scores, "scores-table", arguments.task).to_pylist()
    save(draw(probes, scores), arguments.out)


if __name__ == "__main__":
    run(main)
