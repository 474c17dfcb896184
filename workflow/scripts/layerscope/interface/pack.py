"""Pack a finished study into one archive that somebody else can verify without the checkout."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """What it is told on a command line."""
    parser.add_argument("study", help="folder of its results, such as results/demo")
    parser.add_argument("--out", type=Path, help="ZIP file; default: pack.zip in that folder")


def carry_out(arguments: argparse.Namespace) -> None:
    """Pack what the configuration of the study asks for."""
    from layerscope.core.errors import UserError
    from layerscope.interface.places import require_study
    from layerscope.provenance.expected import expected
    from layerscope.provenance.pack import pack_and_say
    from layerscope.provenance.studies import read_study

    study = read_study(*require_study(arguments.study))
    asked = expected(study)
    if isinstance(asked, str):
        raise UserError(f"{study.results}: {asked}")
    print(pack_and_say(study, asked.results, arguments.out or study.results / "pack.zip"))
