"""Targets of Snakemake that answer a question about a study and compute nothing of it."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

EXPLAIN = """\
Show which jobs of a study would run now, and why. Nothing is run.

It is `snakemake explain` on this checkout, in the working directory.
"""
ESTIMATE = """\
Show what a study will cost before anything is submitted: jobs, hours, memory, disk.

It is `snakemake estimate` on this checkout, in the working directory.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What it is told on a command line."""
    parser.add_argument(
        "--configfile",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="configuration of the study, later files overriding earlier ones; default: the demo",
    )
    parser.add_argument(
        "--profile", help="of Snakemake, that the study runs with, such as profiles/local"
    )


def ask(target: str, arguments: argparse.Namespace) -> None:
    """Let Snakemake answer; its exit code is that of the command.

    What it says of its own run is shown only if it fails.

    Args:
        target: of the workflow, such as `explain`.
        arguments: as of `add_options`.

    Raises:
        UserError: a file is missing, Snakemake is not installed, or there is no checkout.
    """
    from layerscope.core.errors import UserError
    from layerscope.interface.places import CHECKOUT

    for path in arguments.configfile:
        if not path.is_file():
            raise UserError(f"{path}: no such file; allowed: the configuration of a study")
    if find_spec("snakemake") is None:
        raise UserError("Snakemake is not installed; allowed: the environment that `make` sets up")
    snakefile = CHECKOUT / "Snakefile"
    if not snakefile.is_file():
        raise UserError(
            f"{snakefile}: no such file; allowed: the library of a checkout of layerscope, "
            "installed with `pip install -e .` or on PYTHONPATH"
        )
    command = [sys.executable, "-m", "snakemake", target, "--snakefile", str(snakefile)]
    command += ["--profile", arguments.profile] if arguments.profile else ["--cores", "1"]
    command += ["--quiet", "host", "progress", "rules"]
    if arguments.configfile:
        command += ["--configfile", *map(str, arguments.configfile)]
    ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        sys.stderr.write(ran.stderr)
    sys.exit(ran.returncode)
