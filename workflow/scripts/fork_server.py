"""Run a command, such as Snakemake on one machine, whose jobs a fork server starts quickly."""

from __future__ import annotations

import os
import sys

from layerscope.runtime.fork_client import THREADS
from layerscope.runtime.fork_server import serve
from layerscope.runtime.program import prepare_environment

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(f"{__doc__}\n\nusage: fork_server.py COMMAND [ARGUMENT ...]")
    # What libraries here are to read is not for the command: programs of its own set theirs.
    environment = {**os.environ, THREADS: "1"}
    os.environ[THREADS] = "1"
    prepare_environment()
    sys.exit(serve(sys.argv[1:], environment))
