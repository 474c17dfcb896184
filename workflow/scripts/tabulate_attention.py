"""Average attention measures of a model's variants on a task over examples, with intervals."""

from __future__ import annotations

import argparse

from layerscope.config.statistics import Statistics
from layerscope.formats import read_table, write_blocks
from layerscope.program import run
from layerscope.tables import Row, attention_rows, path_parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the section 'statistics'")
    parser.add_argument(
        "--attention",
        nargs="+",
        required=True,
        help="files …/{task}/{model}/{variant}.parquet; the path says what each is of",
    )
    parser.add_argument("--out", required=True, help="Parquet")
    arguments = parser.parse_args()

    settings = Statistics.model_validate_json(arguments.settings)

    def rows(path: str) -> list[Row]:
        task, model, variant = path_parts(path, ("task", "model", "variant"))
        return attention_rows(
            read_table(path, "attention"),
            task,
            model,
            variant,
            settings.resamples,
            settings.confidence,
            settings.seed,
        )

    write_blocks(
        arguments.out,
        "attention-table",
        map(rows, arguments.attention),
        {"confidence": settings.confidence},
    )


if __name__ == "__main__":
    run(main)
