"""Run Python modules from a process that has imported them already: a fork for each run.

Importing Snakemake takes longer than planning a small study does, and the tests plan some hundred.
A server imports it once and forks for each command. The child has the streams, folder,
environment, mask of permissions and module path of a new `python -m`, it alone imports code of
the workflow, and it ends as any process does.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class ForkServer:
    """Started with the first run, and ended with the process that holds it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        self._server = ours

    def run(
        self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m ARGUMENTS` to its end; stdout and stderr come together in `stdout`."""
        mask = os.umask(0)
        os.umask(mask)
        request = {
            "arguments": list(arguments),
            "cwd": str(cwd),
            "environment": dict(environment),
            "umask": mask,
        }
        code_reader, code_writer = os.pipe()
        with tempfile.TemporaryFile() as output:
            message = json.dumps(request).encode()
            socket.send_fds(self._server, [message], [output.fileno(), code_writer])
            os.close(code_writer)
            with open(code_reader, "rb") as reader:
                code = reader.read()
            output.seek(0)
            text = output.read().decode(errors="replace")
        assert code, "the server of forks has gone"
        return subprocess.CompletedProcess(list(arguments), int(code), text, "")


def _serve(requests: socket.socket) -> None:
    """Fork for each request, until nobody can ask any more. A child returns from here."""
    import gc

    _import_snakemake()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no child is waited for here
    while True:
        message, files, _, _ = socket.recv_fds(requests, 1 << 20, 2)
        if not message:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            _become(json.loads(message), *files)
            return
        for file in files:
            os.close(file)


def _import_snakemake() -> None:
    from snakemake.cli import get_argument_parser

    get_argument_parser()  # imports all plug-ins


def _become(request: dict[str, Any], output: int, code: int) -> None:
    """Fork the program itself, and give its exit code back when it has ended."""
    pid = os.fork()
    if pid:
        for stream in (0, 1, 2):
            os.close(stream)
        os.close(output)
        _, status = os.waitpid(pid, 0)
        os.write(code, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(code)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    path = [item for item in os.environ.get("PYTHONPATH", "").split(os.pathsep) if item]
    sys.path[:1] = [os.getcwd(), *path]
    module, *arguments = request["arguments"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
