"""Draw a figure from the tables of a study."""

from __future__ import annotations

import argparse
from importlib import import_module

from layerscope.runtime.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", help="module of layerscope.figures that draws it, such as heads")
    parser.add_argument("--task", help="whose rows to draw; default: all tasks")
    parser.add_argument(
        "--tables", nargs="+", required=True, metavar="NAME=PATH", help="what it is drawn from"
    )
    parser.add_argument("--out", required=True, help="SVG; PDF and PNG go beside it")
    arguments = parser.parse_args()

    from layerscope.core.table_files import Drawn, by_name
    from layerscope.figures.style import save

    # By name, so that a figure is redrawn for its own code alone: see layerscope.core.code.
    module = import_module(f"layerscope.figures.{arguments.figure}")
    save(module.figure(Drawn(by_name(arguments.tables), arguments.task)), arguments.out)


if __name__ == "__main__":
    run(main)
