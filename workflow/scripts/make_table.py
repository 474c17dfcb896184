"""Compute a table of a study, or a part of one."""

from __future__ import annotations

import argparse
from importlib import import_module

from layerscope.runtime.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", help="of layerscope, that computes the table, such as heads")
    parser.add_argument("files", nargs="*", help="results of earlier stages")
    parser.add_argument(
        "--inputs", nargs="*", default=[], metavar="NAME=PATH", help="tables and data by name"
    )
    parser.add_argument("--settings", default="", help="JSON, as the module expects it")
    parser.add_argument(
        "--out", nargs="+", required=True, metavar="NAME=PATH", help="Parquet, by name of the table"
    )
    parser.add_argument("--csv", action="store_true", help="write CSV beside it too")
    arguments = parser.parse_args()

    from layerscope.core.formats import SCHEMAS, write_blocks
    from layerscope.core.table_files import Sources, add_steps, by_name, only_path, write_csv

    # By name, so that a table is made again for its own code alone: see layerscope.core.code.
    module = import_module(f"layerscope.{arguments.module}")
    inputs = {"files": arguments.files, **by_name(arguments.inputs)}
    made = module.tabulate(Sources(inputs, arguments.settings))
    out = by_name(arguments.out)
    for name, table in made.items():
        path, kind, blocks = only_path(out, name), f"{name}-table", table.blocks
        if name != "training" and "steps" in SCHEMAS[kind]:
            blocks = add_steps(blocks, kind, inputs.get("training", []))
        write_blocks(path, kind, blocks, table.metadata)
        if arguments.csv:
            write_csv(path)


if __name__ == "__main__":
    run(main)
