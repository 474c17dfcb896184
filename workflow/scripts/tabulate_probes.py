"""Gather probe scores of all variants into one table."""

from __future__ import annotations

import argparse

from layerscope.formats import read_table
from layerscope.program import run
from layerscope.tables import path_parts, probe_rows, write_both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--probes",
        nargs="+",
        required=True,
        help="files …/{task}/{model}/{variant}/{probe}.parquet; the path says what each is of",
    )
    parser.add_argument("--out", required=True, help="Parquet; the CSV goes beside it")
    arguments = parser.parse_args()

    rows = []
    for path in arguments.probes:
        task, model, variant, probe = path_parts(path, ("task", "model", "variant", "probe"))
        rows += probe_rows(read_table(path, "probe"), task, model, variant, probe)
    write_both(arguments.out, "probes-table", rows)


if __name__ == "__main__":
    run(main)
