"""Draw how similar attention is before and after fine-tuning."""

from __future__ import annotations

import argparse

import pyarrow.compute as pc

from layerscope.plotting.attention import draw
from layerscope.plotting.style import save
from layerscope.program import run
from layerscope.tables import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--attention", required=True, help="table of attention measures")
    parser.add_argument("--out", required=True, help="SVG; PDF and PNG go beside it")
    arguments = parser.parse_args()

    table = read_task(arguments.attention, "attention-table", arguments.task)
    drawn = table.filter(pc.equal(table["percent"], pc.max(table["percent"])))
    save(draw(drawn.to_pylist()), arguments.out)


if __name__ == "__main__":
    run(main)
