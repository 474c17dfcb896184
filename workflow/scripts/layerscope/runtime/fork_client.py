"""Hand a program over to the fork server, if one is running."""

from __future__ import annotations

import json
import os
import socket
import sys

VARIABLE = "LAYERSCOPE_FORK_SERVER"  # path of the socket
THREADS = "OMP_NUM_THREADS"  # read when libraries are imported, so the fork server has one thread


def hand_over() -> int | None:
    """Let the fork server run this program.

    Returns:
        The program's exit code, or None if it is to run here.
    """
    path = os.environ.get(VARIABLE)
    if path is None or os.environ.get(THREADS) != "1":
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError:
        return None
    with connection:
        call = {
            "argv": sys.argv,
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "umask": _umask(),
        }
        message = json.dumps(call).encode()
        socket.send_fds(connection, [len(message).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(message)
        answer = connection.recv(4)
    return int.from_bytes(answer, "big") if len(answer) == 4 else 1


def _umask() -> int:
    """This process's mask of permissions; it can only be read by setting another one."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
