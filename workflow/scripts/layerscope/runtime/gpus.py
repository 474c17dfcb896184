"""One GPU for one job: which device a program may use, told to CUDA before it starts.

A scheduler such as SLURM sets `CUDA_VISIBLE_DEVICES` to the devices of the job. On a workstation
nobody does, so jobs that run side by side would all take the first GPU. There each program locks a
device of its own for as long as it lives; the system frees the lock however it ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import tempfile
import time
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import IO

from layerscope.core.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
WAIT = 1.0  # seconds between two looks for a free device

log = logging.getLogger(__name__)

_held: list[IO[str]] = []  # locks live as long as the process


def use_gpus(count: int) -> None:
    """Let this process see one GPU of its own, or none. Call it before CUDA is used.

    Args:
        count: 0: none, whatever the machine has. 1: one. If the machine has none, the log says so
            and the program runs on the CPU.

    Raises:
        UserError: more than one GPU.
    """
    if count not in (0, 1):
        raise UserError(f"--gpus {count}; allowed: 0 or 1, since a job runs on one GPU")
    if count == 0:
        os.environ[VISIBLE] = ""
        return
    devices = visible_devices(os.environ)
    if not devices:
        log.warning("a GPU was requested but there is none: running on the CPU, slowly")
        return
    folder = Path(tempfile.gettempdir()) / f"layerscope-gpus-{os.getuid()}"
    device, lock = claim(devices, folder)
    _held.append(lock)
    os.environ[VISIBLE] = device
    log.info("GPU %s of %s", device, ", ".join(devices))


def visible_devices(environment: MutableMapping[str, str], dev: Path = Path("/dev")) -> list[str]:
    """Devices that a process may use: those that it was given, or else all of the machine's.

    Args:
        environment: of the process.
        dev: where the machine's devices are listed.
    """
    given = environment.get(VISIBLE)
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    found = (re.fullmatch(r"nvidia(\d+)", path.name) for path in dev.glob("nvidia*"))
    return [str(number) for number in sorted(int(match[1]) for match in found if match)]


def claim(devices: Sequence[str], folder: Path) -> tuple[str, IO[str]]:
    """Lock the first of some devices that no other process has locked; wait until one is free.

    Args:
        devices: by name.
        folder: where the locks are, one for all processes of a user on a machine.

    Returns:
        The device, and its lock: an open file, freed when it is closed or the process ends.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    waiting = False
    while True:
        for device in devices:
            lock = open(folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', device)}.lock", "a")  # noqa: SIM115
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
            else:
                return device, lock
        if not waiting:
            log.info("waiting for a free GPU of %s", ", ".join(devices))
            waiting = True
        time.sleep(WAIT)
