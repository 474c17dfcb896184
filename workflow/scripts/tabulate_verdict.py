"""Compare our scores with published ones."""

from __future__ import annotations

import argparse

from layerscope.config.references import read_references
from layerscope.formats import read_table
from layerscope.program import run
from layerscope.tables import write_both
from layerscope.verdict import verdict_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--references", required=True, help="CSV of published values")
    parser.add_argument("--scores", required=True, help="table of scores")
    parser.add_argument("--out", required=True, help="Parquet; the CSV goes beside it")
    arguments = parser.parse_args()

    scores = read_table(arguments.scores, "scores-table").to_pylist()
    rows = verdict_rows(read_references(arguments.references), scores)
    write_both(arguments.out, "verdict-table", rows)


if __name__ == "__main__":
    run(main)
