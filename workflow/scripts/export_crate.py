"""Export a finished study as a Workflow Run RO-Crate, without running any of it."""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

from layerscope.core.errors import UserError
from layerscope.runtime.program import run


def main() -> None:
    """Write the crate of the study in the working directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of a folder of results/")
    parser.add_argument("--targets", required=True, help="JSON: paths of what the study gives")
    parser.add_argument("--configuration", required=True, help="JSON of the study's configuration")
    parser.add_argument("--given", type=Path, nargs="*", default=[], help="files it was read from")
    parser.add_argument("--rules", required=True, help="JSON: what each rule does")
    parser.add_argument("--out", type=Path, required=True, help="folder of the crate")
    arguments = parser.parse_args()

    if find_spec("rocrate") is None:
        raise UserError(
            "the export needs the package rocrate, which is not installed; "
            "`pip install rocrate -c constraints.txt`"
        )
    from layerscope.provenance.crate import export
    from layerscope.provenance.studies import read_study

    export(
        read_study(".", arguments.study),
        json.loads(arguments.targets),
        json.loads(arguments.configuration),
        arguments.given,
        json.loads(arguments.rules),
        arguments.out,
    )
    print(f"{arguments.out}: Workflow Run RO-Crate of the study {arguments.study}")


if __name__ == "__main__":
    run(main)
