"""Put down how far each attention head has moved, between two seeds and another head."""

from __future__ import annotations

import argparse

import pyarrow.compute as pc

from layerscope.formats import read_table, write_blocks
from layerscope.heads import MEASURES, head_rows
from layerscope.program import run
from layerscope.tables import read_task, write_csv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attention", required=True, help="table of attention measures")
    parser.add_argument("--out", required=True, help="Parquet; CSV goes beside it")
    arguments = parser.parse_args()

    kind = "attention-table"
    tasks = pc.unique(read_table(arguments.attention, kind, ["task"])["task"]).to_pylist()
    blocks = (
        head_rows(read_task(arguments.attention, kind, task, MEASURES).to_pylist())
        for task in tasks
    )
    write_blocks(arguments.out, "heads-table", blocks)
    write_csv(arguments.out)


if __name__ == "__main__":
    run(main)
