"""How similar models are at equal relative depth, for one variant."""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.runtime.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--models", nargs="+", required=True, help="names")
    parser.add_argument(
        "--activations",
        nargs="+",
        type=Path,
        required=True,
        help="one folder per model, in the same order",
    )
    parser.add_argument(
        "--views", nargs="+", required=True, help="such as separate, joint, word, word-last"
    )
    parser.add_argument("--out", required=True, help="Parquet")
    arguments = parser.parse_args()

    from layerscope.analysis.similarity import compare_models
    from layerscope.core.formats import write_table
    from layerscope.core.table_files import variant_keys

    keys = variant_keys(arguments.task, "", arguments.variant)
    rows = [
        keys | row
        for view in arguments.views
        for row in compare_models(
            {
                model: folder / view / "test.parquet"
                for model, folder in zip(arguments.models, arguments.activations, strict=True)
            }
        )
    ]
    write_table(arguments.out, "cross_model_similarity-table", rows)


if __name__ == "__main__":
    run(main)
