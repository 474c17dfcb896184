"""Programs handed over to the fork server behave as when they run by themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
PROGRAM = """
import os, sys, time
from layerscope.core.errors import UserError
from layerscope.runtime.program import run

def main():
    what = sys.argv[1]
    print("folder", os.getcwd(), "value", os.environ.get("VALUE"), "pid", os.getpid())
    print("loaded", "torch" in sys.modules or "colorsys" in sys.modules, file=sys.stderr)
    if what == "mistake":
        raise UserError("culprit 7; allowed: 8")
    if what == "crash":
        raise KeyError("boom")
    if what == "code":
        sys.exit(3)
    if what == "file":
        open(sys.argv[2], "w").close()
    if what == "wait":
        try:
            open("started", "w").close()
            for _ in range(600):  # a signal just before a sleep would wait for its end
                time.sleep(0.1)
        finally:
            open("unwound", "w").close()

if __name__ == "__main__":
    run(main)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program in a folder that finds the library as the real ones do."""
    (tmp_path / "layerscope").symlink_to(SCRIPTS / "layerscope")
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


#: The fork server with something in its memory that is imported at once.
QUICK = """
import runpy, sys
sys.path.insert(0, {scripts!r})
import layerscope.runtime.fork_server
layerscope.runtime.fork_server.LIBRARIES = ("colorsys",)
runpy.run_path({scripts!r} + "/fork_server.py", run_name="__main__")
"""


def served(script: str, folder: Path, whole: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a script by the fork server; `whole`: with all its libraries."""
    quick = ["-c", QUICK.format(scripts=str(SCRIPTS))]
    start = [str(SCRIPTS / "fork_server.py")] if whole else quick
    command = [sys.executable, *start, "bash", "-c", script]
    environment = {**os.environ, "VALUE": "7"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_streams_folder_environment_and_exit_codes_are_those_of_the_program(program: Path) -> None:
    calls = [f"{sys.executable} program.py {what}; echo code $?" for what in
             ("good", "mistake", "crash", "code")]  # fmt: skip
    done = served("; ".join(calls), program.parent, whole=True)
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("code")] == [
        "code 0", "code 1", "code 1", "code 3",
    ]  # fmt: skip
    assert lines[0].startswith(f"folder {program.parent} value 7 pid ")
    errors = done.stderr.splitlines()
    assert errors.count("loaded True") == 4  # the fork server had imported it
    assert errors.count("error: culprit 7; allowed: 8") == 1
    assert "KeyError: 'boom'" in errors
    assert done.returncode == 0


def test_a_program_writes_to_a_pipe_while_the_server_writes_to_a_file(program: Path) -> None:
    """It opens its own streams: of the server's it would be known that one can seek in them."""
    script = f"set -o pipefail; {sys.executable} program.py good 2>&1 | cat"
    server = [sys.executable, "-c", QUICK.format(scripts=str(SCRIPTS))]
    with (program.parent / "printed").open("w") as printed:
        done = subprocess.run(
            [*server, "bash", "-c", script],
            cwd=program.parent,
            env={**os.environ, "VALUE": "7"},
            stdout=printed,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
    said = (program.parent / "printed").read_text()
    assert done.returncode == 0, said
    assert "loaded True" in said


def test_files_have_the_permissions_that_the_program_would_give_them(program: Path) -> None:
    masks = ("077", "027", "002")
    call = f"{sys.executable} program.py file made-"
    done = served("; ".join(f"umask {mask}; {call}{mask}; umask" for mask in masks), program.parent)
    assert "loaded True" in done.stderr
    for mask in masks:
        made = program.parent / f"made-{mask}"
        assert made.stat().st_mode & 0o777 == 0o666 & ~int(mask, 8)
    after = [line for line in done.stdout.splitlines() if not line.startswith("folder")]
    assert after == [f"0{mask}" for mask in masks]  # the callers' own are as they were


def test_another_number_of_threads_runs_by_itself(program: Path) -> None:
    done = served(f"OMP_NUM_THREADS=2 {sys.executable} program.py good", program.parent)
    assert "loaded False" in done.stderr


def test_jobs_run_side_by_side(program: Path) -> None:
    script = f"{sys.executable} program.py good & {sys.executable} program.py good & wait"
    done = served(script, program.parent)
    pids = [line.split()[-1] for line in done.stdout.splitlines()]
    assert len(set(pids)) == 2


def test_killing_the_program_unwinds_its_job(program: Path) -> None:
    folder = program.parent
    script = (
        f"{sys.executable} program.py wait & job=$!;"
        " while [ ! -e started ]; do sleep 0.05; done; kill -9 $job;"
        " for i in $(seq 200); do [ -e unwound ] && break; sleep 0.05; done"
    )
    served(script, folder)
    assert (folder / "unwound").exists()


def test_the_command_that_ends_takes_its_jobs_along(program: Path) -> None:
    script = f"{sys.executable} program.py wait & while [ ! -e started ]; do sleep 0.05; done"
    served(script, program.parent)
    for _ in range(200):
        if (program.parent / "unwound").exists():
            break
        time.sleep(0.05)
    assert (program.parent / "unwound").exists()


def test_a_command_without_jobs_gives_its_exit_code(tmp_path: Path) -> None:
    done = served("exit 5", tmp_path)
    assert done.returncode == 5
    assert done.stderr == ""


def test_a_polite_kill_reaches_the_command(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "fork_server.py"), "sleep", "60"]
    process = subprocess.Popen(command, cwd=tmp_path)
    time.sleep(1.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) != 0
