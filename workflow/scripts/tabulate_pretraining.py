"""Gather held-out loss and perplexity of the models that were pre-trained here into one table."""

from __future__ import annotations

import argparse

from layerscope.files import read_json
from layerscope.program import run
from layerscope.tables import pretraining_rows, write_both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--evaluations", nargs="*", default=[], help="JSON files, one a model; none is allowed"
    )
    parser.add_argument("--out", required=True, help="Parquet; the CSV goes beside it")
    arguments = parser.parse_args()

    contents = [read_json(path) for path in arguments.evaluations]
    write_both(arguments.out, "pretraining-table", pretraining_rows(contents))


if __name__ == "__main__":
    run(main)
