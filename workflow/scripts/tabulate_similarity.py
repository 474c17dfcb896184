"""Gather measures of similarity of a model's variants on a task into one part of their table."""

from __future__ import annotations

import argparse

from layerscope.formats import read_table, write_blocks
from layerscope.program import run
from layerscope.tables import Row, path_parts, similarity_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--similarity",
        nargs="+",
        required=True,
        help="files …/{task}/{model}/{variant}.parquet; the path says what each is of",
    )
    parser.add_argument("--out", required=True, help="Parquet")
    arguments = parser.parse_args()

    def rows(path: str) -> list[Row]:
        parts = path_parts(path, ("task", "model", "variant"))
        return similarity_rows(read_table(path, "similarity"), *parts)

    write_blocks(arguments.out, "similarity-table", map(rows, arguments.similarity))


if __name__ == "__main__":
    run(main)
