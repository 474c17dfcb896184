"""Used by every command-line program in workflow/scripts: logging, one-line errors, records."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

from layerscope.runtime.arguments import with_pipes_read
from layerscope.runtime.fork_client import hand_over

#: Seconds that huggingface_hub waits.
HUB_TIMEOUTS = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")
STOPPED = 128 + signal.SIGTERM  # exit code of a program that a polite kill ended


def _stop(number: int, _frame: Any) -> None:
    sys.exit(128 + number)


@contextmanager
def defer_sigterm() -> Iterator[Callable[[], bool]]:
    """Let a polite kill wait until a good moment, or until the end of the block.

    Yields:
        A function that tells whether a SIGTERM has come. Who sees it puts things in order and exits
        with `STOPPED`, as the end of the block does.
    """
    asked = []
    before = signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)
    if asked:
        sys.exit(STOPPED)


def prepare_environment(network: bool = False) -> None:
    """Set what libraries read from the environment when they are imported.

    Hubs are never asked behind a rule's back: models and data come from files that rules made.
    """
    if not network:  # and where these are wrong, not even an import works
        for name in ("HF_ENDPOINT", *HUB_TIMEOUTS):
            os.environ.pop(name, None)
    os.environ.setdefault("HF_HUB_OFFLINE", "0" if network else "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def run(main: Callable[[], None], network: bool = False) -> None:
    """Run `main`; a `UserError` ends the program with one line on stderr and exit code 1.

    So does a disk that is full or cannot be written. What is printed may have any characters,
    whatever the encoding of the terminal.

    Only programs that fetch have `network`. They run in a process of their own, since libraries
    that the fork server has imported are offline for good.

    A polite kill (a scheduler's time limit) unwinds the program, so half-written files go;
    training first saves where it is (`defer_sigterm`).

    A job of the workflow leaves a record of the run beside its outputs (`layerscope.run_records`).
    """
    sys.argv = with_pipes_read(sys.argv)
    code = None if network else hand_over()
    if code is not None:
        sys.exit(code)
    _run_here(main, network)


def _run_here(main: Callable[[], None], network: bool) -> None:
    """Run `main` in this process. Imports stand here: one that hands over needs none of them."""
    signal.signal(signal.SIGTERM, _stop)
    import logging

    from layerscope.core.errors import UserError, printable
    from layerscope.run_records.recorder import recorded
    from layerscope.runtime.disks import refusal

    prepare_environment(network)
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, TextIOWrapper):
            output.reconfigure(errors="backslashreplace")
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s"
    )
    try:
        with recorded(sys.argv) as sys.argv:
            main()
    except UserError as error:
        sys.exit("\n".join(map(printable, f"error: {error}".split("\n"))))
    except BrokenPipeError:  # who reads has enough; nothing is left to be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        if (reason := refusal(error)) is None:
            raise
        sys.exit(f"error: {printable(reason)}; allowed: files that can be read, room to write")
