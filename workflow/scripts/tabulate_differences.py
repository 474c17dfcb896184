"""Put down which models differ on the same test examples, by paired tests."""

from __future__ import annotations

import argparse

from layerscope.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the statistics settings")
    parser.add_argument(
        "--predictions", nargs="+", required=True, help="of all models and seeds, a task at a time"
    )
    parser.add_argument("--out", required=True, help="Parquet; CSV goes beside it")
    arguments = parser.parse_args()

    from layerscope.config.statistics import Statistics
    from layerscope.differences import difference_rows
    from layerscope.formats import file_metadata
    from layerscope.predictions import read_predictions
    from layerscope.tables import Row, write_both

    settings = Statistics.model_validate_json(arguments.settings)
    by_task: dict[str, list[str]] = {}
    for path in arguments.predictions:
        by_task.setdefault(file_metadata(path, "predictions")["task"], []).append(path)
    rows: list[Row] = []
    for paths in by_task.values():  # one task's predictions are in memory at a time
        rows += difference_rows([read_predictions(path) for path in paths], settings)
    write_both(arguments.out, "differences-table", rows)


if __name__ == "__main__":
    run(main)
