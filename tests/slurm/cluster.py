"""The lab's SLURM as tests see it: what it records of jobs, and how to do it harm."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

SCRIPT = Path(__file__).with_name("lab.sh")
LAB = Path("/var/lib/layerscope-slurm-lab")
PROGRAMS = ("sbatch", "srun", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "munged")


def missing() -> str | None:
    """Why there can be no lab on this machine, if there cannot."""
    if os.geteuid() != 0:
        return "SLURM's daemons are started as root; this is another user"
    gone = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(gone)} not found; tests/slurm/lab.sh install" if gone else None


def lab(action: str) -> None:
    result = subprocess.run(
        [SCRIPT, action], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@dataclass(frozen=True)
class SlurmJob:
    """What SLURM recorded of a job."""

    id: int
    run: str  # of Snakemake: SLURM's name of the job
    name: str  # rule and wildcards: SLURM's comment
    state: str
    node: str
    partition: str
    gpus: int
    cpus: int
    memory: str
    minutes: int
    restarts: int
    start: datetime | None
    end: datetime | None


def slurm_jobs() -> list[SlurmJob]:
    """Every job that was ever submitted, finished ones too, in this order."""
    text = _call("scontrol", "--oneliner", "show", "jobs")
    jobs = [job for job in map(_job, text.splitlines()) if job is not None]
    return sorted(jobs, key=lambda job: job.id)


def _job(line: str) -> SlurmJob | None:
    entries = dict(re.findall(r"(\S+?)=(\S+)", line))
    if "JobId" not in entries:
        return None
    gpus = re.search(r"gpu(?::\w+)?[:=](\d+)", entries.get("TresPerJob", ""))
    memory = re.search(r"mem=(\w+)", entries["TRES"])
    hours, minutes, _ = entries["TimeLimit"].rpartition("-")[2].split(":")
    return SlurmJob(
        id=int(entries["JobId"]),
        run=entries["JobName"],
        name=entries.get("Comment", ""),
        state=entries["JobState"],
        node=entries.get("NodeList", ""),
        partition=entries["Partition"],
        gpus=int(gpus[1]) if gpus else 0,
        cpus=int(entries["NumCPUs"]),
        memory=memory[1] if memory else "",
        minutes=60 * int(hours) + int(minutes),
        restarts=int(entries["Restarts"]),
        start=_time(entries["StartTime"]),
        end=_time(entries["EndTime"]),
    )


def _time(text: str) -> datetime | None:
    return None if text == "Unknown" else datetime.fromisoformat(text)


def wait_for(find: Callable[[], T | None], what: str, seconds: float = 600) -> T:
    """What `find` finds, as soon as it does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = find()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:.0f} s for {what}; SLURM has {slurm_jobs()}")


def running(part: str) -> SlurmJob | None:
    """A job that runs now and whose name has this part."""
    for job in slurm_jobs():
        if job.state == "RUNNING" and part in job.name:
            return job
    return None


def at_work(part: str) -> tuple[SlurmJob, int]:
    """A job whose name has this part, and the process of its program, as soon as it works."""

    def find() -> tuple[SlurmJob, int] | None:
        job = running(part)
        process = program(job) if job else None
        return (job, process) if job and process else None

    return wait_for(find, f"the program of {part}")


def program(job: SlurmJob) -> int | None:
    """The process of the program that a rule's job has started."""
    for pid in _processes(job):
        words = _read(pid, "cmdline").split("\0")
        if any("workflow/scripts/" in word for word in words[1:2]) and "python" in words[0]:
            return pid
    return None


def update_node(node: str, state: str) -> None:
    reason = [] if state == "resume" else ["reason=test"]
    _call("scontrol", "update", f"nodename={node}", f"state={state}", *reason)


def kill_node(node: str) -> None:
    """All that runs on it dies at once, as in a power cut, and the operator marks it as down."""
    _kill(_daemon(f"slurmd.{node}"))
    for job in slurm_jobs():
        if job.state == "RUNNING" and job.node == node:
            for pid in _processes(job):
                _kill(pid)
    update_node(node, "down")


def start_node(node: str) -> None:
    subprocess.run(["slurmd", "-N", node], check=True, stdin=subprocess.DEVNULL)
    update_node(node, "resume")
    wait_for(lambda: _state(node) in ("idle", "mix", "alloc"), f"{node} to be back")


def stop_controller() -> None:
    pid = _daemon("slurmctld")
    os.kill(pid, signal.SIGTERM)
    # A zombie has ended, whether or not it has been waited for.
    wait_for(lambda: _read(pid, "stat").rpartition(")")[2].split()[:1] in ([], ["Z"]), "its end")


def start_controller() -> None:
    subprocess.run(["slurmctld"], check=True, stdin=subprocess.DEVNULL)
    wait_for(slurm_jobs, "the controller to be back")


def _state(node: str) -> str:
    return _call("sinfo", "--noheader", f"--nodes={node}", "--partition=cpu", "--format=%t").strip()


def _daemon(name: str) -> int:
    return int((LAB / "run" / f"{name}.pid").read_text())


def _processes(job: SlurmJob) -> list[int]:
    """Of a job: what it has started, and SLURM's own process above each step."""
    return [
        pid
        for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
        if f"SLURM_JOB_ID={job.id}" in _read(pid, "environ").split("\0")
        or _read(pid, "cmdline").startswith(f"slurmstepd: [{job.id}.")
    ]


def _read(pid: int, name: str) -> str:
    """A file of a process; nothing if it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    return ""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _call(*words: str) -> str:
    """What a command prints; nothing if the controller does not answer."""
    result = subprocess.run(
        words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
    )
    return result.stdout
