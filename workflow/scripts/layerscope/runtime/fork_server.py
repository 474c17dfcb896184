"""Start programs without importing the heavy libraries each time: fork them from a server.

A small study is dozens of jobs of a few seconds, half of which goes into importing torch and
transformers. `fork_server.py COMMAND` runs a command, such as Snakemake on one machine, and
meanwhile keeps one process that has imported those libraries. `layerscope.runtime.program.run`
hands it a program's arguments, environment, folder, umask and streams over a Unix socket in a
private folder. The process forks, the child runs the program's own code from its file as usual,
and its exit code goes back.

Only libraries are imported beforehand, never code of layerscope. Without the fork server, or with
another number of threads, programs run as usual, and the results are the same.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.runtime.fork_client import VARIABLE

LIBRARIES = (
    "pydantic.main",  # pydantic itself imports what is asked of it
    "pydantic.type_adapter",
    "pandas",
    "pyarrow.csv",
    "pyarrow.parquet",
    "scipy.optimize",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.svm",
    "matplotlib.figure",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    "matplotlib.style",
    "PIL.JpegImagePlugin",
    "fontTools.subset",
    "concept_erasure",
    "torch",
    "transformers.trainer",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
    "transformers.models.gpt2.modeling_gpt2",
)


def serve(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command and, while it runs, the programs that its jobs hand over.

    Args:
        command: with its arguments.
        environment: of the command.

    Returns:
        The command's exit code.
    """
    wake, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)  # the command gets it too, and decides
    with tempfile.TemporaryDirectory(prefix="layerscope-") as folder:
        listener = socket.socket(socket.AF_UNIX)
        path = str(Path(folder) / "socket")
        listener.bind(path)
        listener.listen(256)
        main = subprocess.Popen(command, env={**environment, VARIABLE: path})
        signal.signal(signal.SIGTERM, lambda *_: main.terminate())
        waiting = selectors.DefaultSelector()
        waiting.register(listener, selectors.EVENT_READ)
        waiting.register(wake, selectors.EVENT_READ)
        jobs: dict[int, socket.socket] = {}  # process id of each child to its client
        while main.poll() is None:
            for key, _ in waiting.select():
                if key.fileobj is listener:
                    _import_libraries()
                    client, _ = listener.accept()
                    pid = _fork(client, [listener, *jobs.values()])
                    if pid is not None:
                        jobs[pid] = client
                        waiting.register(client, selectors.EVENT_READ, pid)
                elif key.fileobj == wake:
                    os.read(wake, 4096)
                else:  # a client that hangs up was killed: its job goes too
                    waiting.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGTERM)
            _answer(jobs, waiting)
        for pid in jobs:
            os.kill(pid, signal.SIGTERM)
    return main.returncode


def _import_libraries() -> None:
    """Import once, at the first job: a command with nothing to do waits for nothing."""
    missing = [name for name in LIBRARIES if name not in sys.modules]
    for name in missing:
        __import__(name)
    if missing:  # or each child's collector would look through all of this and copy its pages
        gc.collect()
        gc.freeze()


def _answer(jobs: dict[int, socket.socket], waiting: selectors.BaseSelector) -> None:
    for pid in list(jobs):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            client = jobs.pop(pid)
            if client in [key.fileobj for key in waiting.get_map().values()]:
                waiting.unregister(client)
            code = os.waitstatus_to_exitcode(status)
            with contextlib.suppress(OSError):  # the client may be gone
                client.sendall((code if code >= 0 else 128 - code).to_bytes(4, "big"))
            client.close()


def _fork(client: socket.socket, others: Sequence[socket.socket]) -> int | None:
    """Fork a child for a client's program; None if the client hung up before it had asked."""
    header, streams, _, _ = socket.recv_fds(client, 8, 3)
    message = b""
    while len(header) == 8 and len(message) < int.from_bytes(header, "big"):
        part = client.recv(1 << 20)
        if not part:
            break
        message += part
    if len(streams) != 3 or not message:
        client.close()
        return None
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for connection in (client, *others):
                connection.close()
            code = _run(json.loads(message), streams)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    for stream in streams:
        os.close(stream)
    return pid


def _run(call: dict[str, Any], streams: Sequence[int]) -> int:
    """Become the program: its streams, folder, mask, environment and arguments; run its file."""
    import runpy

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # Those of the server know of its own file or terminal, such as whether one can seek in it.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.umask(call["umask"])
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    del os.environ[VARIABLE]
    tempfile.tempdir = None  # the server's, which need not be the program's
    sys.argv = call["argv"]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    for name in [name for name in sys.modules if name.partition(".")[0] == "layerscope"]:
        del sys.modules[name]  # the program imports its own, from its own folder
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    return code
