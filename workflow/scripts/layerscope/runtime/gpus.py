"""GPUs of a job: which devices a program may use, told to CUDA before it starts.

A scheduler such as SLURM sets `CUDA_VISIBLE_DEVICES` to the devices of the job. On a workstation
nobody does, so jobs that run side by side would all take the first GPU. There each program locks
devices of its own for as long as it lives; the system frees the locks however it ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

from layerscope.core.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
WAIT = 1.0  # seconds between two looks for free devices
MOST = 8  # GPUs that a job may have

log = logging.getLogger(__name__)

_held: list[IO[str]] = []  # locks live as long as the process


def use_gpus(count: int, most: int = MOST) -> None:
    """Let this process see so many GPUs of its own, or none. Call it before CUDA is used.

    Args:
        count: 0: none, whatever the machine has. If the machine has none, the log says so and the
            program runs on the CPU.
        most: that this program can use.

    Raises:
        UserError: more GPUs than the program can use, or than the job has.
    """
    if not 0 <= count <= most:
        raise UserError(f"--gpus {count}; allowed: 0 to {most}")
    if count == 0:
        os.environ[VISIBLE] = ""
        return
    devices = visible_devices(os.environ)
    if not devices:
        log.warning("a GPU was requested but there is none: running on the CPU, slowly")
        return
    if count > len(devices):
        raise UserError(
            f"--gpus {count}, but this job has {len(devices)}: {', '.join(devices)}; "
            "allowed: as many as it has, so more GPUs for the job, or fewer `gpus` of the model"
        )
    folder = Path(tempfile.gettempdir()) / f"layerscope-gpus-{os.getuid()}"
    found, locks = claim(devices, folder, count)
    _held.extend(locks)
    os.environ[VISIBLE] = ",".join(found)
    log.info("GPU %s of %s", ", ".join(found), ", ".join(devices))


def check_gpus(wanted: Mapping[str, int], most: int | None) -> None:
    """Stop where a model is to have more GPUs than all jobs of a run together.

    Args:
        wanted: GPUs of each model.
        most: of the run; None for any number.

    Raises:
        UserError: a model is.
    """
    for name, count in wanted.items():
        if most is not None and count > max(most, 1):
            raise UserError(
                f"models.{name}.gpus: {count}, but the run has --resources gpu={most}; "
                f"allowed: 1 to {max(most, 1)}, or a larger resource"
            )


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


def claim(devices: Sequence[str], folder: Path, count: int = 1) -> tuple[list[str], list[IO[str]]]:
    """Lock the first of some devices that no other process has locked; wait until they are free.

    Of several, all are locked at once or none, so that two processes never wait for each other.

    Args:
        devices: by name.
        folder: where the locks are, one for all processes of a user on a machine.
        count: of the devices to lock.

    Returns:
        The devices, and their locks: open files, freed when closed or when the process ends.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    waiting = False
    while True:
        with open(folder / "claim.lock", "a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            found = dict(islice(_free(devices, folder), count))
        if len(found) == count:
            return list(found), list(found.values())
        for lock in found.values():
            lock.close()
        if not waiting:
            wanted = "a free GPU" if count == 1 else f"{count} free GPUs"
            log.info("waiting for %s of %s", wanted, ", ".join(devices))
            waiting = True
        time.sleep(WAIT)


def _free(devices: Sequence[str], folder: Path) -> Iterator[tuple[str, IO[str]]]:
    """Devices that no other process has locked, each with the lock that it has now."""
    for device in devices:
        lock = open(folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', device)}.lock", "a")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            yield device, lock
