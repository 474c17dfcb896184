"""Choose a fraction of the training examples: stratified, nested within a seed, groups whole."""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.core.errors import UserError
from layerscope.core.files import sha256_text
from layerscope.core.formats import read_table, write_table
from layerscope.data.prepared import task_kind
from layerscope.data.sampling import check_fraction, nested_sample, reserved_rows, strata
from layerscope.runtime.program import run


def main() -> None:
    """Read the arguments, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path, help="prepared training table")
    parser.add_argument("--percent", required=True, type=int, help="1 to 100")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument(
        "--reserved", type=int, default=0, help="percent that is kept for probes, and left out here"
    )
    parser.add_argument("--out", required=True, type=Path, help="table of the chosen ids")
    arguments = parser.parse_args()
    if not 1 <= arguments.percent <= 100:
        raise UserError(f"--percent: {arguments.percent}; allowed: 1 to 100")
    kind = task_kind(arguments.data)
    rows = read_table(arguments.data, kind).to_pylist()
    rows, _ = reserved_rows(rows, kind, arguments.reserved)
    ids = nested_sample(
        [row["example_id"] for row in rows],
        [row["group_id"] for row in rows],
        strata(kind, rows),
        arguments.percent,
        arguments.seed,
    )
    check_fraction(rows, len(ids), arguments.percent, f"{arguments.percent} %")
    metadata = {
        "percent": arguments.percent,
        "seed": arguments.seed,
        "sha256": sha256_text("\n".join(ids)),
    }
    write_table(arguments.out, "sample", {"example_id": ids}, metadata)


if __name__ == "__main__":
    run(main)
