"""Draw how far each attention head has moved, and what of its attention has changed."""

from __future__ import annotations

import argparse

from layerscope.plotting.heads import draw
from layerscope.plotting.style import save
from layerscope.program import run
from layerscope.tables import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--heads", required=True, help="table of heads")
    parser.add_argument("--out", required=True, help="SVG; PDF and PNG go beside it")
    arguments = parser.parse_args()

    save(draw(read_task(arguments.heads, "heads-table", arguments.task).to_pylist()), arguments.out)


if __name__ == "__main__":
    run(main)
