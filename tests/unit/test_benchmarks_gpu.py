"""The benchmark of a GPU runs at tiny shapes on a processor, and everything it requires holds."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu.table import page
from running import server_of_jobs

ROOT = Path(__file__).resolve().parents[2]
GPU = ROOT / "benchmarks" / "gpu"
PARTS = sorted(path.stem.removeprefix("part_") for path in GPU.glob("part_*.py"))


#: A part that holds.
WORKING = """
import json, sys
row = {"what": "made up", "value": 2.0, "unit": "x", "goal": "", "ok": None}
with open(sys.argv[sys.argv.index("--out") + 1], "w") as file:
    json.dump({"rows": [row]}, file)
"""


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(GPU / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_a_part_holds_on_a_processor(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, which has imported already what each part imports."""
    monkeypatch.syspath_prepend(GPU)
    environment = importlib.import_module("gpu.run").environment("cpu")
    if part == "record":  # what it starts, nobody kills
        environment |= server_of_jobs()
    for name, value in environment.items():  # of what it starts
        monkeypatch.setenv(name, value)
    arguments = ["--device", "cpu", "--tiny", "--out", str(tmp_path / "part.json")]
    importlib.import_module("common").main(importlib.import_module(f"part_{part}").run, arguments)
    found: dict[str, Any] = json.loads((tmp_path / "part.json").read_text(encoding="utf-8"))
    assert found["rows"]
    assert [row for row in found["rows"] if row["ok"] is False] == []


@pytest.mark.slow
def test_parts_that_fail_are_reported_and_the_next_one_runs(tmp_path: Path) -> None:
    """A benchmark whose `kill` is broken, beside one that is not; neither imports anything."""
    copy = tmp_path / "benchmarks"
    for source in (*GPU.glob("*"), *GPU.parent.glob("*.py")):
        if source.is_file():
            target = copy / source.relative_to(GPU.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    (copy / "gpu" / "part_kill.py").write_text("raise SystemExit('nothing works')\n")
    (copy / "gpu" / "part_probes.py").write_text(WORKING)
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    results = tmp_path / "gpu.json"
    command = [sys.executable, str(copy / "gpu" / "run.py"), "kill", "probes"]
    options = ["--device", "cpu", "--tiny", "--results", str(results)]
    ran = subprocess.run([*command, *options], capture_output=True, text=True)
    assert ran.returncode == 1
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    assert found["probes"]["machine"]["versions"]["torch"]
    assert "| kill | FAILED | exit code 1 |" in ran.stdout
    assert "| probes | made up | 2 x |" in ran.stdout
    assert "nothing works" in ran.stderr
    assert ran.stderr.endswith("error: kill: not everything holds\n")


def test_an_unknown_part_and_a_missing_package_are_one_line(tmp_path: Path) -> None:
    ran = run("nothing")
    assert ran.returncode == 2
    last = ran.stderr.splitlines()[-1]
    assert "no part nothing; allowed: " in last
    assert set(PARTS) == set(last.partition("allowed: ")[2].split(", "))
    (tmp_path / "wheels.txt").write_text("# why\nno-such-package==1.0\npytest==0\n")
    for name in ("run.py", "table.py"):
        (tmp_path / name).write_bytes((GPU / name).read_bytes())
    ran = subprocess.run([sys.executable, tmp_path / "run.py"], capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr == (
        "error: not installed: no-such-package==1.0; allowed: all of benchmarks/gpu/wheels.txt\n"
    )


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_so() -> None:
    ran = run("kill")
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith("error: --device cuda: ")
    assert ran.stderr.endswith("; allowed: a GPU that PyTorch can use, or --device cpu --tiny\n")


def test_the_page_has_what_was_measured_and_on_what() -> None:
    assert page({}) == "Not measured yet."
    machine = {
        "gpus": [{"name": "NVIDIA H200"}],
        "versions": {"torch": "2.11.0", "transformers": "5.17.0"},
    }
    about = {"machine": machine, "measured": "2026-11-28T10:00+00:00", "seconds": 12.5}
    row = {"what": "rate", "value": 2.0, "unit": "x", "goal": "3 x", "ok": False}
    text = page({"kill": about | {"failed": "exit code 1"}, "probes": about | {"rows": [row]}})
    assert "| probes | rate | 2 x | 3 x | NO |" in text
    assert "| kill | FAILED | exit code 1 |" in text
    assert "NVIDIA H200, 2026-11-28, PyTorch 2.11.0, transformers 5.17.0, 12.5 s" in text


def test_pins_are_those_of_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wheels = (GPU / "wheels.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in wheels if line and not line.startswith("#")]
    assert pins
    assert set(pins) <= set(lines)
