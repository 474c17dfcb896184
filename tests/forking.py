"""Run Python from a process that has imported its libraries already: a fork for each run.

Importing Snakemake takes longer than planning a small study does, and the tests plan some hundred;
so it is with programs that import pyarrow or torch. A server imports libraries once and forks for
each command. The child has the streams, folder, environment, mask of permissions and module path of
a new Python, it alone imports code of the workflow, and it ends as any process does.

Only for commands that give libraries nothing to read from the environment when they are imported.
"""

from __future__ import annotations

import functools
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

#: What programs of the workflow import, but for the largest libraries.
LIBRARIES = ("numpy", "pyarrow.parquet", "scipy.stats", "pydantic", "yaml")


class ForkServer:
    """A process that has imported something, and ends with the process that started it."""

    def __init__(self, environment: Mapping[str, str], imports: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, imports, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        self._server = ours

    def run(
        self,
        arguments: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        together: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run `python ARGUMENTS` to its end.

        Args:
            arguments: `-m` and a module, or the path of a program; and its own ones.
            cwd: the folder to run in.
            environment: all of it.
            together: stdout and stderr come together in `stdout`.
        """
        mask = os.umask(0)
        os.umask(mask)
        request = [list(arguments), str(cwd), dict(environment), mask]
        reader, writer = os.pipe()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            streams = [out.fileno(), (out if together else err).fileno()]
            socket.send_fds(self._server, [json.dumps(request).encode()], [*streams, writer])
            os.close(writer)
            with open(reader, "rb") as answer:
                code = answer.read()
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace"))
        assert code, "the server of forks has gone"
        return subprocess.CompletedProcess(list(arguments), int(code), *texts)


@functools.cache
def of_programs() -> ForkServer:
    """The server of this process of the tests for programs of the workflow."""
    return ForkServer(os.environ, "libraries")


def run_program(
    program: Path,
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program of the workflow as `python PROGRAM ARGUMENTS` does."""
    given = [str(program), *map(str, arguments)]
    return of_programs().run(given, cwd or Path.cwd(), environment or os.environ)


def run_layerscope(
    scripts: Path, *arguments: object, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command `layerscope` of the library in `scripts`, without installation."""
    given = ["-m", "layerscope", *map(str, arguments)]
    variables = os.environ | {"PYTHONPATH": str(scripts)}
    return of_programs().run(given, cwd or Path.cwd(), variables)


def _serve(requests: socket.socket, imports: str) -> None:
    """Fork for each request, until nobody can ask any more. A child returns from here."""
    import gc

    _import_snakemake() if imports == "snakemake" else _import_libraries()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no child is waited for here
    while True:
        message, files, _, _ = socket.recv_fds(requests, 1 << 20, 3)
        if not message:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            _become(json.loads(message), *files)
            return
        for file in files:
            os.close(file)


def _import_libraries() -> None:
    for name in LIBRARIES:
        __import__(name)


def _import_snakemake() -> None:
    import smart_open  # noqa: F401 - read with a Snakefile
    from snakemake.cli import get_argument_parser

    get_argument_parser()  # imports all plug-ins


def _become(request: tuple[list[str], str, dict[str, str], int], *streams: int) -> None:
    """Fork the program itself, and give its exit code back when it has ended."""
    arguments, cwd, environment, mask = request
    *outputs, code = streams
    pid = os.fork()
    if pid:
        for stream in (0, 1, 2, *outputs):
            os.close(stream)
        _, status = os.waitpid(pid, 0)
        os.write(code, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(code)
    for number, stream in enumerate(outputs, 1):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(cwd)
    os.umask(mask)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    _run(arguments)


def _run(arguments: list[str]) -> Any:
    path = [item for item in os.environ.get("PYTHONPATH", "").split(os.pathsep) if item]
    if arguments[0] == "-m":
        sys.path[:1] = [os.getcwd(), *path]
        sys.argv = arguments[1:]
        return runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    sys.path[:1] = [str(Path(arguments[0]).resolve().parent), *path]
    sys.argv = arguments
    return runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[2])), sys.argv[1])
