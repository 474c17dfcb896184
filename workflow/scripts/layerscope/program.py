"""What every command-line program in workflow/scripts shares: logging and one-line errors."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from layerscope.errors import UserError


def run(main: Callable[[], None]) -> None:
    """Run `main`; a `UserError` ends the program with one line on stderr and exit code 1."""
    # Hubs are never asked behind a rule's back: models and data come from files that rules made.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s"
    )
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
