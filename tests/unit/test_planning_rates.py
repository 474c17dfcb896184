"""Rates of a GPU: measured ones stand in for assumed ones, and broken files are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from planned_jobs import TUNE, Config, estimated, need, paper

from layerscope.config import jobs
from layerscope.core.errors import UserError
from layerscope.resources import rates
from layerscope.resources.estimate import in_words
from layerscope.resources.sizes import read_sizes


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing has been fetched or prepared here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


GPU = {"gpus": [{"name": "NVIDIA H200"}]}
RATED: Config = {
    "activations": {"machine": GPU, "rates": {"inference": 2e14, "batch": 1e-4}},
    "finetuning": {
        "machine": GPU, "measured": "2026-11-28T10:00+00:00",
        "rates": {"training": 3e14, "step": 1e-3},
    },
}  # fmt: skip


def write_rates(folder: Path, content: Any) -> Path:
    path = folder / "gpu.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_measured_rates_of_a_gpu_stand_in_for_assumed_ones(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from layerscope.resources import computing as module
    from layerscope.resources import estimate as words

    study, sizes = paper(), read_sizes(paper())
    for part in (module, words):
        monkeypatch.setattr(part, "read_rates", lambda: rates.ASSUMED)
    assert "GPU rates: assumed, not measured." in in_words(study, estimated(study))
    assumed = need(study, "finetune", **TUNE)
    measured = rates.read_rates(write_rates(elsewhere, RATED))
    for part in (module, words):
        monkeypatch.setattr(part, "read_rates", lambda: measured)
    found = need(study, "finetune", **TUNE)
    size, task = sizes.models["bert"], sizes.tasks["jnlpba"]
    settings = jobs.finetuning(study, "jnlpba", "bert")
    length = min(task.words * 1.7, settings.max_length)
    examples = settings.epochs * task.examples["train"]
    operations = size.body * length * (6 * examples + 2 * task.examples["validation"])
    steps = (examples + task.examples["validation"]) / settings.batch_size
    assert found.seconds == pytest.approx(10 + operations / 3e14 + steps * 12 * 1e-3)
    assert found.seconds < assumed.seconds
    text = in_words(study, estimated(study))
    assert "GPU rates: measured on NVIDIA H200, 2026-11-28." in text


def test_rates_are_assumed_until_both_parts_have_run(elsewhere: Path) -> None:
    assert rates.read_rates(elsewhere / "gpu.json") is rates.ASSUMED
    for content in (
        {"parity": {}},
        {"finetuning": RATED["finetuning"]},
        RATED | {"activations": {"failed": "exit code 1"}},
        RATED | {"finetuning": RATED["finetuning"] | {"tiny": True}},
    ):
        (elsewhere / str(len(str(content)))).mkdir()
        path = write_rates(elsewhere / str(len(str(content))), content)
        assert rates.read_rates(path) is rates.ASSUMED
    idle = RATED["finetuning"] | {"rates": {"training": 3e14, "step": 0}}
    for name, content in (
        ("list", []),
        ("text", RATED | {"finetuning": "done"}),
        ("zero", RATED | {"finetuning": idle}),
    ):
        (elsewhere / name).mkdir()
        with pytest.raises(UserError, match="no rates of a GPU; allowed: what benchmarks/gpu"):
            rates.read_rates(write_rates(elsewhere / name, content))
    (elsewhere / "broken").mkdir()
    broken = write_rates(
        elsewhere / "broken", RATED | {"finetuning": {"machine": GPU, "rates": {}}}
    )
    with pytest.raises(UserError, match=r"gpu.json: no 'training'; allowed: what benchmarks/gpu"):
        rates.read_rates(broken)
