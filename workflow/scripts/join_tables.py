"""Join the parts of a table, in the given order."""

from __future__ import annotations

import argparse

from layerscope.runtime.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", required=True, help="of the parts and the table: probes-table, …")
    parser.add_argument("--parts", nargs="+", required=True, help="Parquet files")
    parser.add_argument("--out", required=True, help="Parquet; the CSV goes beside it")
    arguments = parser.parse_args()

    from layerscope.core.table_files import join

    join(arguments.parts, arguments.kind, arguments.out)


if __name__ == "__main__":
    run(main)
