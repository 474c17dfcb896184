"""Gather probe scores of a model's variants on a task into one part of the table of probes."""

from __future__ import annotations

import argparse

from layerscope.formats import read_table, write_blocks
from layerscope.program import run
from layerscope.tables import Row, path_parts, probe_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--probes",
        nargs="+",
        required=True,
        help="files …/{task}/{model}/{variant}/{probe}.parquet; the path says what each is of",
    )
    parser.add_argument("--out", required=True, help="Parquet")
    arguments = parser.parse_args()

    def rows(path: str) -> list[Row]:
        task, model, variant, probe = path_parts(path, ("task", "model", "variant", "probe"))
        return probe_rows(read_table(path, "probe"), task, model, variant, probe)

    write_blocks(arguments.out, "probes-table", map(rows, arguments.probes))


if __name__ == "__main__":
    run(main)
