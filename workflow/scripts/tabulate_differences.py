"""Put down which models differ on a task, by paired tests: one part of the table."""

from __future__ import annotations

import argparse

from layerscope.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the statistics settings")
    parser.add_argument(
        "--predictions", nargs="+", required=True, help="of all models and seeds on a task"
    )
    parser.add_argument("--out", required=True, help="Parquet")
    arguments = parser.parse_args()

    from layerscope.config.statistics import Statistics
    from layerscope.differences import difference_rows
    from layerscope.formats import write_table
    from layerscope.predictions import read_predictions

    settings = Statistics.model_validate_json(arguments.settings)
    files = [read_predictions(path) for path in arguments.predictions]
    write_table(arguments.out, "differences-table", difference_rows(files, settings))


if __name__ == "__main__":
    run(main)
