"""Which GPU a program takes: locks held by real processes, and what CUDA is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from layerscope.core.errors import UserError
from layerscope.runtime import gpus
from layerscope.runtime.gpus import VISIBLE, check_gpus, claim, use_gpus, visible_devices

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
HOLDER = """
import sys
from pathlib import Path
from layerscope.runtime.gpus import claim
count, *devices = sys.argv[2:]
found, locks = claim(devices, Path(sys.argv[1]), int(count))
print(*found, flush=True)
sys.stdin.read()
"""


class Holder:
    """A process that holds devices until it is told to end."""

    def __init__(self, folder: Path, *devices: str, count: int = 1) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder), str(count), *devices],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        )

    def device(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, how: int = signal.SIGKILL) -> None:
        self.process.send_signal(how)
        self.process.communicate()


@pytest.fixture(autouse=True)
def own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpus, "_held", [])
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv(VISIBLE, raising=False)


def test_processes_side_by_side_take_different_devices(tmp_path: Path) -> None:
    first, second = Holder(tmp_path, "0", "1"), Holder(tmp_path, "0", "1")
    try:
        assert {first.device(), second.device()} == {"0", "1"}
    finally:
        first.end()
        second.end()


def test_one_more_waits_until_a_device_is_free_even_by_a_kill(tmp_path: Path) -> None:
    first, second = Holder(tmp_path, "0", "1"), Holder(tmp_path, "0", "1")
    devices = {first.device(): first, second.device(): second}
    third = Holder(tmp_path, "0", "1")
    try:
        devices["1"].end(signal.SIGKILL)
        assert third.device() == "1"
    finally:
        devices["0"].end()
        third.end()


def test_a_device_stays_locked_as_long_as_its_process_lives(tmp_path: Path) -> None:
    holder = Holder(tmp_path, "0")
    try:
        assert holder.device() == "0"
        found, (lock,) = claim(["0", "1"], tmp_path)
        assert found == ["1"]
        lock.close()
    finally:
        holder.end()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["0", "1", "10"]),
        ({VISIBLE: "1"}, ["1"]),
        ({VISIBLE: "2, 0"}, ["2", "0"]),
        ({VISIBLE: "GPU-8932f937-d72c,MIG-1"}, ["GPU-8932f937-d72c", "MIG-1"]),
        ({VISIBLE: ""}, []),
        ({VISIBLE: "-1"}, []),
    ],
)
def test_devices_are_those_given_or_the_machines(
    environment: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    for name in ("nvidia10", "nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert visible_devices(environment, tmp_path) == expected


def test_a_job_without_a_gpu_sees_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "0,1")
    use_gpus(0)
    assert os.environ[VISIBLE] == ""


def test_a_job_with_a_gpu_sees_one_of_those_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "3,5")
    use_gpus(1)
    assert os.environ[VISIBLE] == "3"
    assert len(gpus._held) == 1


def test_without_any_gpu_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gpus, "visible_devices", lambda _: [])
    use_gpus(1)
    assert VISIBLE not in os.environ
    assert "running on the CPU" in caplog.text


def test_several_are_locked_together_or_not_at_all(tmp_path: Path) -> None:
    """What waits for two leaves the one that is free to others."""
    one = Holder(tmp_path, "0", "1", "2")
    taken = one.device()
    two = Holder(tmp_path, "0", "1", count=2)
    try:
        assert taken == "0"
        found, (lock,) = claim(["1"], tmp_path)
        lock.close()
        assert found == ["1"]
        one.end(signal.SIGKILL)
        assert two.device() == "0 1"
    finally:
        two.end()


def test_a_model_has_no_more_gpus_than_the_run() -> None:
    for most in (None, 2, 8):
        check_gpus({"bert": 1, "llama": 2}, most)
    said = "^models.llama.gpus: 2, but the run has --resources gpu=1; allowed: 1 to 1, or a larger"
    with pytest.raises(UserError, match=said):
        check_gpus({"bert": 1, "llama": 2}, 1)


def test_a_job_with_several_gpus_sees_them_or_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "3,5,7")
    for count, most, said in (
        (4, 8, "--gpus 4, but this job has 3: 3, 5, 7; allowed: as many as it has"),
        (9, 8, "--gpus 9; allowed: 0 to 8"),
        (2, 1, "--gpus 2; allowed: 0 to 1"),
    ):
        with pytest.raises(UserError, match=said):
            use_gpus(count, most)
    use_gpus(2)
    assert os.environ[VISIBLE] == "3,5"
    assert len(gpus._held) == 2
