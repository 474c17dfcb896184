"""What every command-line program in workflow/scripts shares: logging and one-line errors."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from layerscope.errors import UserError
from layerscope.handover import hand_over


def _stop(number: int, _frame: Any) -> None:
    sys.exit(128 + number)


def prepare_environment() -> None:
    """Set what libraries read from the environment when they are imported.

    Hubs are never asked behind a rule's back: models and data come from files that rules made.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def run(main: Callable[[], None]) -> None:
    """Run `main`; a `UserError` ends the program with one line on stderr and exit code 1.

    A polite kill (a scheduler's time limit) unwinds the program, so half-written files go.
    """
    code = hand_over()
    if code is not None:
        sys.exit(code)
    signal.signal(signal.SIGTERM, _stop)
    prepare_environment()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s"
    )
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
