"""Export a finished study's tables and figures, and models of it, as folders for a hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.runtime.program import run


def main() -> None:
    """Write the folders; say what is in them, and what is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="folder of a finished study, as results/demo")
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    parser.add_argument(
        "--variants", nargs="+", default=[], metavar="VARIANT",
        help="fine-tuned models to export as well, of every task and model, as f100-s1",
    )  # fmt: skip
    arguments = parser.parse_args()

    from layerscope.provenance.hub_export import export

    found = export(arguments.study, arguments.out, arguments.variants)
    print(f"{arguments.out}/dataset: tables and figures, with a card")
    for name in found.models:
        print(f"{arguments.out}/models/{name}: a model, with a card")
    for name, reason in found.left_out.items():
        print(f"left out: {name}: {reason}")
    print(
        "Nothing was uploaded. Read the cards first; state the license, which depends on the data."
    )


if __name__ == "__main__":
    run(main)
