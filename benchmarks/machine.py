"""What the machine is, and what it can do at most: the limits that benchmarks are held against."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import rate, take_turns

from layerscope.run_records import machine as facts


def describe() -> dict[str, Any]:
    """Host system, processor, cores, GPUs, versions; no names of hosts."""
    found = {name: value for name, value in facts.machine().items() if name != "host"}
    return {**found, "threads": torch.get_num_threads(), "versions": facts.versions()}


def matrix_product(device: str = "cpu", dtype: torch.dtype = torch.float32) -> dict[str, float]:
    """Floating-point operations a second of a large matrix product, in GFLOP/s."""
    size = 2048 if device == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))

    def multiply() -> None:
        torch.mm(a, b)
        if device != "cpu":
            torch.cuda.synchronize()

    return rate(2 * size**3 / 1e9, take_turns({"product": multiply}, turns=7)["product"])


def memory_copy() -> dict[str, float]:
    """Copying memory, MB/s of what is copied, one thread."""
    source = np.ones(256 * 2**20, np.uint8)
    target = np.empty_like(source)
    seconds = take_turns({"copy": lambda: np.copyto(target, source)}, turns=7)["copy"]
    return rate(source.nbytes / 1e6, seconds)


def file_write(folder: Path | None = None) -> dict[str, float]:
    """A plain write of bytes in memory to a file, without waiting for the disk, MB/s."""
    content = os.urandom(2**20) * 256
    with tempfile.TemporaryDirectory(dir=folder) as made:
        path = Path(made, "bytes")
        seconds = take_turns({"write": lambda: path.write_bytes(content)}, turns=5)["write"]
    return rate(len(content) / 1e6, seconds)


def file_read(folder: Path | None = None) -> dict[str, float]:
    """A plain read of a file that the system has in memory, MB/s."""
    content = os.urandom(2**20) * 256
    with tempfile.TemporaryDirectory(dir=folder) as made:
        path = Path(made, "bytes")
        path.write_bytes(content)
        seconds = take_turns({"read": path.read_bytes}, turns=5)["read"]
    return rate(len(content) / 1e6, seconds)


def limits() -> dict[str, dict[str, float]]:
    """All of them, on the processor."""
    return {
        "matrix product, GFLOP/s": matrix_product(),
        "memory copy, MB/s": memory_copy(),
        "file write, MB/s": file_write(),
        "file read, MB/s": file_read(),
    }
