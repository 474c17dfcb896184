"""Average attention measures over examples, with intervals, into one table."""

from __future__ import annotations

import argparse

from layerscope.config.statistics import Statistics
from layerscope.formats import read_table
from layerscope.program import run
from layerscope.tables import attention_rows, path_parts, write_both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the section 'statistics'")
    parser.add_argument(
        "--attention",
        nargs="+",
        required=True,
        help="files …/{task}/{model}/{variant}.parquet; the path says what each is of",
    )
    parser.add_argument("--out", required=True, help="Parquet; the CSV goes beside it")
    arguments = parser.parse_args()

    settings = Statistics.model_validate_json(arguments.settings)
    rows = []
    for path in arguments.attention:
        task, model, variant = path_parts(path, ("task", "model", "variant"))
        rows += attention_rows(
            read_table(path, "attention"),
            task,
            model,
            variant,
            settings.resamples,
            settings.confidence,
            settings.seed,
        )
    write_both(arguments.out, "attention-table", rows, {"confidence": settings.confidence})


if __name__ == "__main__":
    run(main)
