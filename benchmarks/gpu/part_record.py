"""What a job's record says of the GPU, and how jobs share devices by locks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import common
from common import Row, Setting, row
from jobs import Job

from layerscope.runtime.gpus import VISIBLE, claim, visible_devices

WAITING = "waiting for a free GPU"
TAKE = """
import logging
logging.basicConfig(level="INFO")
from layerscope.runtime.gpus import use_gpus
use_gpus(1)
print("taken", flush=True)
"""


def recorded(setting: Setting) -> list[Row]:
    """The record of a fine-tuning, as a rule of the workflow asks for it."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), setting, steps=4)
        record = job.record("out")
        about = {
            "rule": "finetune", "study": "benchmark", "wildcards": {}, "inputs": {},
            "outputs": [{"path": str(job.out("out")), "temporary": False}], "packages": [],
            "log": f"{folder}/log", "commit": None, "dirty": None,
        }  # fmt: skip
        job.start("out", "--record", json.dumps(about)).finish()
        found = json.loads(record.read_text(encoding="utf-8"))
    gpus = found["machine"]["gpus"]
    peak = found["peak_gpu_memory_bytes"]
    named = bool(gpus) and all(each["name"] for each in gpus)
    driven = named and all(each["driver"] != "unknown" for each in gpus)
    wanted = setting.cuda
    return [
        row("exit code in the record", found["exit"], ok=found["exit"] == 0),
        row("GPU in the record", ", ".join(g["name"] for g in gpus) or "none",
            goal="named" if wanted else "none", ok=named == wanted),
        row("driver in the record", ", ".join(g["driver"] for g in gpus) or "none",
            goal="named" if wanted else "none", ok=driven == wanted),
        row("GPUs in the record", len(gpus), goal="one, as asked for" if wanted else "none",
            ok=len(gpus) == int(wanted)),
        row("peak of GPU memory in the record", (peak or 0) / 1e6, "MB",
            "above 0" if wanted else "none", bool(peak) == wanted),
    ]  # fmt: skip


def locked(setting: Setting) -> list[Row]:
    """A process takes a free device, and waits for a taken one."""
    given = dict(os.environ) if setting.cuda else {**os.environ, VISIBLE: "0"}
    devices = visible_devices(given)
    with tempfile.TemporaryDirectory() as temporary:
        environment = {**given, "TMPDIR": temporary}
        own = Path(temporary) / f"layerscope-gpus-{os.getuid()}"
        free = subprocess.run(
            [sys.executable, "-c", TAKE],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        _, locks = claim(devices, own, len(devices))
        waiting = subprocess.Popen(
            [sys.executable, "-c", TAKE], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert waiting.stderr is not None
        patience = threading.Timer(60, waiting.kill)
        patience.start()
        said = waiting.stderr.readline()
        held = waiting.poll() is None
        for lock in locks:
            lock.close()
        output, _ = waiting.communicate()
        patience.cancel()
    return [
        row("devices found", ", ".join(devices) or "none", ok=bool(devices)),
        row("a free device is taken", free.stdout.strip() or "no", ok="taken" in free.stdout),
        row("a taken one is waited for", "yes" if WAITING in said and held else "no",
            ok=WAITING in said and held),
        row("and taken when it is free", output.strip() or "no", ok="taken" in output),
    ]  # fmt: skip


def run(setting: Setting) -> dict[str, Any]:
    """Look at records and locks."""
    return {"rows": recorded(setting) + locked(setting)}


if __name__ == "__main__":
    common.main(run)
