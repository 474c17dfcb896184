"""How much each layer changes from the pre-trained model, and anisotropy."""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.runtime.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--activations", type=Path, required=True, help="folder of the variant")
    parser.add_argument("--before", type=Path, help="folder of the pre-trained model")
    parser.add_argument(
        "--views", nargs="+", required=True, help="such as separate, joint, word, word-last"
    )
    parser.add_argument("--out", required=True, help="table of view, layer, measure and value")
    arguments = parser.parse_args()

    from layerscope.analysis.similarity import measure_variant
    from layerscope.core.formats import activation_metadata, write_table

    rows = [
        row
        for view in arguments.views
        for row in measure_variant(
            arguments.activations / view / "test.parquet",
            arguments.before / view / "test.parquet" if arguments.before else None,
        )
    ]
    described = activation_metadata(arguments.activations / arguments.views[0] / "test.parquet")
    # Where the last layer may be missing, depth is told by their number.
    further = {"layers": described["layers"]} if "stored" in described else None
    write_table(arguments.out, "similarity", rows, further)


if __name__ == "__main__":
    run(main)
