"""Evaluate a model's predictions on a task: calibration, classes, seen and unseen entities."""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the statistics settings")
    parser.add_argument(
        "--predictions", nargs="+", required=True, help="files …/{variant}.parquet, one a variant"
    )
    parser.add_argument("--test", help="test data, for entities alone")
    parser.add_argument("--train", help="training data, for entities alone")
    parser.add_argument(
        "--samples", nargs="*", default=[], help="files …/{variant}.parquet, for entities alone"
    )
    parser.add_argument("--out", required=True, help="Parquet")
    arguments = parser.parse_args()

    from layerscope.config.statistics import Statistics
    from layerscope.errors import UserError
    from layerscope.evaluation import evaluation_rows
    from layerscope.formats import read_sample, read_table, write_table
    from layerscope.predictions import read_predictions

    settings = Statistics.model_validate_json(arguments.settings)
    files = [read_predictions(path) for path in arguments.predictions]
    entities = files[0].described["kind_of_task"] == "ner"
    samples = {Path(path).stem: path for path in arguments.samples}
    for file in files if entities else []:
        if not (arguments.test and arguments.train and file.described["variant"] in samples):
            raise UserError(
                f"{file.path}: no test data, training data or sample of variant "
                f"'{file.described['variant']}'; allowed: all three where entities are predicted"
            )
    rows = evaluation_rows(
        files,
        settings,
        read_table(arguments.test, "ner") if entities else None,
        (lambda variant: read_sample(arguments.train, samples[variant], "ner"))
        if entities
        else None,
    )
    write_table(arguments.out, "evaluation-table", rows, {"confidence": settings.confidence})


if __name__ == "__main__":
    run(main)
