"""What people do with a study: verify, compare, pack, export, open; ask what a run would do."""

from __future__ import annotations

import argparse
from functools import partial

from layerscope.interface import audit, compare, export, pack, pages, snakemake, track
from layerscope.runtime.program import run

#: What each command is for, its options, and what carries it out.
COMMANDS = {
    "audit": (audit.__doc__, audit.add_options, audit.carry_out),
    "compare": (compare.__doc__, compare.add_options, compare.carry_out),
    "explain": (snakemake.EXPLAIN, snakemake.add_options, partial(snakemake.ask, "explain")),
    "estimate": (snakemake.ESTIMATE, snakemake.add_options, partial(snakemake.ask, "estimate")),
    "pack": (pack.__doc__, pack.add_options, pack.carry_out),
    "export": (export.__doc__, export.add_options, export.carry_out),
    "track": (track.__doc__, track.add_options, track.carry_out),
    "open": (pages.__doc__, pages.add_options, pages.carry_out),
}


def parser() -> argparse.ArgumentParser:
    """Of the whole command line."""
    top = argparse.ArgumentParser(prog="layerscope", description=__doc__)
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for name, (about, add_options, carry_out) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=(about or "").partition("\n")[0],
            description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_options(command)
        command.set_defaults(carry_out=carry_out)
    return top


def main() -> None:
    """The command `layerscope`, and `python -m layerscope`."""
    run(_main)


def _main() -> None:
    arguments = parser().parse_args()
    arguments.carry_out(arguments)


if __name__ == "__main__":
    main()
