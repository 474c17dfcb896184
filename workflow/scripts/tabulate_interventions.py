"""Gather a model's scores under interventions on a task into one part of their table."""

from __future__ import annotations

import argparse

from layerscope.formats import read_table, write_blocks
from layerscope.program import run
from layerscope.tables import Row, intervention_rows, path_parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--interventions",
        nargs="+",
        required=True,
        help="files …/{task}/{model}/{variant}.parquet; the path says what each is of",
    )
    parser.add_argument("--out", required=True, help="Parquet")
    arguments = parser.parse_args()

    def rows(path: str) -> list[Row]:
        parts = path_parts(path, ("task", "model", "variant"))
        return intervention_rows(read_table(path, "intervention"), *parts)

    write_blocks(arguments.out, "interventions-table", map(rows, arguments.interventions))


if __name__ == "__main__":
    run(main)
