"""Draw how far each layer has moved from the pre-trained model, and how it fills its space."""

from __future__ import annotations

import argparse

from layerscope.plotting.layers import draw
from layerscope.plotting.similarity import as_layers, panels
from layerscope.plotting.style import save
from layerscope.program import run
from layerscope.tables import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True, help="its name")
    parser.add_argument("--similarity", required=True, help="table of similarity")
    parser.add_argument("--out", required=True, help="SVG; PDF and PNG go beside it")
    arguments = parser.parse_args()

    rows = as_layers(
        read_task(arguments.similarity, "similarity-table", arguments.task).to_pylist()
    )
    save(draw(rows, panels(rows)), arguments.out)


if __name__ == "__main__":
    run(main)
