"""Several GPUs on one machine: jobs side by side use different ones, and one too many waits.

The machine that runs this need have no GPU: which device a program takes is settled before CUDA
starts, and this PyTorch may have none.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from running import Finished, copy_finished, options, snakemake

from layerscope.core.files import sha256_directory

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keep")]

JOBS = ("hpo-nli/gpt-tiny/f50-s1", "hpo-nli/gpt-tiny/f50-s2", "hpo-ner/gpt-tiny/f50-s1")


def test_jobs_side_by_side_use_different_devices(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    copy_finished(finished, folder, shutil.copy2)
    models = [folder / "results/miniature/finetuned" / job for job in JOBS]
    expected = [sha256_directory(model) for model in models]
    for model in models:
        shutil.rmtree(model)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the locks are
    targets = [f"results/miniature/finetuned/{job}" for job in JOBS]
    study = finished._replace(folder=folder)
    result = snakemake(
        study.workflow, folder, *options(study, cores=3), "--set-resources", "finetune:gpu=1",
        "--", *targets, fork_server=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    logs = [
        (folder / "logs/miniature/finetune" / f"{job}.log").read_text(encoding="utf-8")
        for job in JOBS
    ]
    taken = [re.findall(r"GPU (\d) of 0, 1", log) for log in logs]
    assert all(len(devices) == 1 for devices in taken), logs
    assert {devices[0] for devices in taken} == {"0", "1"}
    # Three jobs began at once, so one of them had to wait for a device.
    assert sum("waiting for a free GPU" in log for log in logs) == 1
    assert [sha256_directory(model) for model in models] == expected
