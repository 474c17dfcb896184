"""Usable information: what predictors can tell of labels from each layer of cached activations."""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.runtime.program import run


def main() -> None:
    """Read the arguments, learn and test predictors, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--activations",
        type=Path,
        required=True,
        help="folder of VIEW/SPLIT.parquet: `test`, and what is learned from",
    )
    parser.add_argument(
        "--views", nargs="+", required=True, help="such as separate, joint, word, word-last"
    )
    parser.add_argument("--probe-rows", required=True, help="split to learn from")
    parser.add_argument(
        "--merge-tags", action="store_true", help="NER: types of entity in place of IOB2 tags"
    )
    parser.add_argument("--out", required=True, help="table of view, family, layer and value")
    parser.add_argument("--out-pointwise", required=True, help="bits of each test row")
    arguments = parser.parse_args()

    from layerscope.analysis.probing.information import of_view
    from layerscope.core.formats import activation_metadata, write_table
    from layerscope.core.formats.pointwise import write_pointwise

    rows, blocks = [], []
    for view in arguments.views:
        folder = arguments.activations / view
        train, test = (folder / f"{split}.parquet" for split in (arguments.probe_rows, "test"))
        found = of_view(train, test, view, arguments.merge_tags)
        rows += found.rows
        blocks += found.blocks
    described = activation_metadata(test)
    metadata = {key: described[key] for key in ("task", "model", "variant")}
    metadata |= {"rows": arguments.probe_rows}
    stored = described.get("stored")
    write_pointwise(arguments.out_pointwise, blocks, described["layers"], metadata, stored)
    write_table(arguments.out, "usable_information", rows, metadata)


if __name__ == "__main__":
    run(main)
