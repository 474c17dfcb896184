"""Put down at which layer each probe's score is reached, by task, model and variant."""

from __future__ import annotations

import argparse
from itertools import chain

import pyarrow.compute as pc

from layerscope.entry import entry_rows
from layerscope.formats import read_table
from layerscope.program import run
from layerscope.tables import read_task, write_both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", required=True, help="table of probe scores")
    parser.add_argument("--out", required=True, help="Parquet; CSV goes beside it")
    arguments = parser.parse_args()

    kind = "probes-table"
    tasks = pc.unique(read_table(arguments.probes, kind, ["task"])["task"]).to_pylist()
    rows = (entry_rows(read_task(arguments.probes, kind, task).to_pylist()) for task in tasks)
    write_both(arguments.out, "entry-table", list(chain.from_iterable(rows)))


if __name__ == "__main__":
    run(main)
