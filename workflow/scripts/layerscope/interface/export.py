"""Write a study's tables and figures, and models of it, as folders with cards for a hub.

Nothing is uploaded. Models that learned from data under an agreement are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """What it is told on a command line."""
    parser.add_argument("study", help="folder of its results, such as results/demo")
    parser.add_argument("--out", type=Path, required=True, help="new folder to write")
    parser.add_argument(
        "--variants",
        nargs="+",
        default=[],
        metavar="VARIANT",
        help="fine-tuned models to export as well, of every task and model, such as f100-s1",
    )


def carry_out(arguments: argparse.Namespace) -> None:
    """Write the folders; say what is in them, and what is not."""
    from layerscope.interface.places import require_study
    from layerscope.provenance.data_package import FILE, MISSING, can_describe
    from layerscope.provenance.hub_export import export
    from layerscope.provenance.studies import read_study

    study = read_study(*require_study(arguments.study))
    found = export(study, arguments.out, arguments.variants)
    print(f"{arguments.out}/dataset: tables and figures, with a card")
    described = "what each column holds" if can_describe() else f"not written: {MISSING}"
    print(f"{arguments.out}/dataset/{FILE}: {described}")
    for name in found.models:
        print(f"{arguments.out}/models/{name}: a model, with a card")
    for name, reason in found.left_out.items():
        print(f"left out: {name}: {reason}")
    print("Nothing was uploaded. State the license in each card first: it depends on the data.")
