"""Draw the rows of a split that probes learn from."""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.core.kinds import KINDS
from layerscope.runtime.program import run


def main() -> None:
    """Read the split's table, draw, write the ids."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="prepared table")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--split", default="validation", help="split of the rows")
    parser.add_argument("--limit", required=True, help="examples, or words (ner), or 'all'")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--reserved", type=int, default=0, help="percent of training data that no model is tuned on"
    )
    parser.add_argument("--part", choices=["whole", "tuned-on", "reserved"], default="whole")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    from layerscope.core.formats import read_table, write_table
    from layerscope.data.sampling import probe_sample, reserved_rows

    rows = read_table(arguments.data, arguments.kind).to_pylist()
    if arguments.part != "whole":
        tuned_on, kept = reserved_rows(rows, arguments.kind, arguments.reserved)
        rows = kept if arguments.part == "reserved" else tuned_on
    cap = None if arguments.limit == "all" else int(arguments.limit)
    setting = "probe_test_limit" if arguments.split == "test" else "probe_limit"
    chosen = probe_sample(arguments.kind, rows, cap, arguments.seed, setting)
    write_table(
        arguments.out,
        "sample",
        {"example_id": chosen},
        {"limit": arguments.limit, "seed": arguments.seed},
    )


if __name__ == "__main__":
    run(main)
