"""Gather scores and confusions of all models into two tables."""

from __future__ import annotations

import argparse
import json

from layerscope.files import read_json
from layerscope.program import run
from layerscope.tables import confusion_rows, score_rows, write_both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", required=True, help="JSON: architecture and domain of each model"
    )
    parser.add_argument(
        "--scores", nargs="+", required=True, help="JSON files, one a task and model"
    )
    parser.add_argument("--out-scores", required=True, help="Parquet; the CSV goes beside it")
    parser.add_argument("--out-confusion", required=True, help="Parquet; the CSV goes beside it")
    arguments = parser.parse_args()

    contents = [read_json(path) for path in arguments.scores]
    write_both(
        arguments.out_scores,
        "scores-table",
        score_rows(contents, json.loads(arguments.models)),
    )
    write_both(arguments.out_confusion, "confusion-table", confusion_rows(contents))


if __name__ == "__main__":
    run(main)
