"""Everything that a GPU does, in one command: at most eight minutes on one H100 or H200.

    python benchmarks/gpu/run.py                        # all parts: make bench-gpu
    python benchmarks/gpu/run.py parity memory          # some of them
    python benchmarks/gpu/run.py --device cpu --tiny    # does it work at all

Each part is a process of its own with a time limit; one that fails is reported and the next one
runs. On a GPU the figures go to benchmarks/results/gpu.json, part by part with the machine's facts,
and a table is printed last. docs/gpu.md says what to do with them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from table import table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "gpu.json"
#: Parts in the order in which they run, and the seconds that each may take.
PARTS = {
    "parity": 75, "record": 45, "memory": 60, "kill": 75,
    "activations": 90, "finetuning": 75, "adapters": 60, "attention": 45, "probes": 45,
}  # fmt: skip
ALL = 480  # seconds for all parts together
PATIENCE = 8  # times these limits on a processor, where only tiny shapes are run
FACTS = "import json, machine; print(json.dumps(machine.describe()))"

Found = dict[str, Any]


def environment(device: str = "cuda") -> dict[str, str]:
    """What parts run with: modules of the library and of the benchmarks, and no network.

    Tiny shapes on a processor gain nothing from threads, which then wait for each other; and a GPU
    that the machine may have is hidden, since a Trainer would take it.
    """
    paths = [ROOT / "workflow" / "scripts", ROOT / "benchmarks", HERE]
    given = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([*map(str, paths), *([given] if given else [])])
    alone = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", **alone}


def missing() -> list[str]:
    """Packages of wheels.txt that are not installed, as they are pinned there."""
    lines = (HERE / "wheels.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    absent = []
    for pin in wanted:
        try:
            version(pin.partition("==")[0])
        except PackageNotFoundError:
            absent.append(pin)
    return absent


def facts(device: str) -> Found:
    """The machine and its versions; the GPU as PyTorch and its driver name it."""
    wake = "import torch; torch.cuda.init(); " if device == "cuda" else ""
    ran = subprocess.run(
        [sys.executable, "-c", wake + FACTS],
        env=environment(device),
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        why = ran.stderr.strip() or f"exit code {ran.returncode}"
        allowed = "allowed: a GPU that PyTorch can use, or --device cpu --tiny"
        sys.exit(f"error: --device {device}: {why.splitlines()[-1]}; {allowed}")
    found: Found = json.loads(ran.stdout)
    return found


def run_part(name: str, device: str, tiny: bool, limit: float) -> Found:
    """Run a part: what it found, or why it failed in `failed`."""
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder, "found.json"), Path(folder, "log")
        command = [sys.executable, str(HERE / f"part_{name}.py"), "--device", device]
        command += [*(["--tiny"] if tiny else []), "--out", str(out)]
        with log.open("w", encoding="utf-8") as stream:
            # A session of its own, so that what a part has started ends with it.
            part = subprocess.Popen(
                command,
                env=environment(device),
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
            try:
                code = part.wait(limit)
            except subprocess.TimeoutExpired:
                return {"failed": f"stopped after {limit:.0f} s, its limit", "log": tail(log)}
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(part.pid, signal.SIGKILL)
                part.wait()
        if code:
            return {"failed": f"exit code {code}", "log": tail(log)}
        found: Found = json.loads(out.read_text(encoding="utf-8"))
        return found


def tail(log: Path, lines: int = 25) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes: does it work at all")
    parser.add_argument("--results", type=Path, help="JSON; on a GPU benchmarks/results/gpu.json")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.parts if name not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}; allowed: {', '.join(PARTS)}")
    if absent := missing():
        pins = "all of benchmarks/gpu/wheels.txt"
        sys.exit(f"error: not installed: {', '.join(absent)}; allowed: {pins}")
    results = chosen.results or (RESULTS if chosen.device == "cuda" and not chosen.tiny else None)

    patience = 1 if chosen.device == "cuda" else PATIENCE
    begun = time.monotonic()
    described = {
        "device": chosen.device,
        "tiny": chosen.tiny,
        "machine": facts(chosen.device),
        "measured": datetime.now(UTC).isoformat(timespec="minutes"),
    }
    kept = json.loads(results.read_text(encoding="utf-8")) if results and results.exists() else {}
    parts: Found = {}
    for name in chosen.parts or PARTS:
        left = patience * ALL - (time.monotonic() - begun)
        started = time.monotonic()
        print(f"{name} ...", file=sys.stderr, flush=True)
        if left < 5:
            parts[name] = {"failed": f"not begun: {ALL} s are over", "log": ""}
        else:
            parts[name] = run_part(
                name, chosen.device, chosen.tiny, min(patience * PARTS[name], left)
            )
        parts[name] |= {**described, "seconds": round(time.monotonic() - started, 1)}
        if "failed" in parts[name]:
            print(parts[name]["log"], file=sys.stderr, flush=True)
        if results:
            kept[name] = parts[name]
            results.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(table(parts))
    wrong = [
        name
        for name, entry in parts.items()
        if "failed" in entry or any(each["ok"] is False for each in entry["rows"])
    ]
    if wrong:
        sys.exit(f"error: {', '.join(wrong)}: not everything holds")


if __name__ == "__main__":
    main()
