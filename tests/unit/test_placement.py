"""Models over several GPUs: which layers are where, and that a study finds the same.

No machine with two GPUs was at hand. In their place there are a second device that the processor
computes for (`second_device`), and accelerate's offloading to the disk.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from refusals import one_line
from tiny_models import TEXTS, Tiny
from transformers import AlbertConfig, AlbertModel, LlamaConfig, LlamaModel

from layerscope.core.errors import UserError
from layerscope.models import placement
from layerscope.models.hooks import head_outputs_captured, resumed, states_captured
from layerscope.models.load import load_model
from layerscope.models.maps import layer_maps
from layerscope.models.placement import laid_out, placed
from layerscope.runtime.gpus import VISIBLE
from layerscope.training.trainer import _OverGpus

HERE = Path(__file__).parent
SHAPE: dict[str, Any] = {
    "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 50,
    "num_hidden_layers": 6,
}  # fmt: skip


@pytest.mark.parametrize(("given", "said"), [("0", True), ("", False), (None, False)])
def test_the_log_says_that_a_gpu_cannot_be_used(
    given: str | None,
    said: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Such as where PyTorch is a build for processors, and the job has a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv(VISIBLE, raising=False)
    if given is not None:
        monkeypatch.setenv(VISIBLE, given)
    assert placement.device().type == "cpu"
    assert ("GPU 0 cannot be used" in caplog.text) == said


@pytest.mark.slow
def test_a_study_over_two_devices_is_that_on_one(tmp_path: Path) -> None:
    """Training of an adapter with blocks computed again, and every kind of pass."""
    library = HERE.parents[1] / "workflow" / "scripts"
    done = subprocess.run(
        [sys.executable, HERE / "two_devices.py", tmp_path, "Llama"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (library, HERE, HERE.parent)))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    apart = json.loads(done.stdout)
    assert set(apart) == {
        "losses", "predictions", "activations", "attention", "interventions", "edits"
    }  # fmt: skip
    assert max(apart.values()) < 1e-5


def test_a_model_that_accelerate_offloads_gives_the_same(tiny: Tiny, tmp_path: Path) -> None:
    def found(model: Any) -> list[torch.Tensor]:
        with states_captured(model) as states, head_outputs_captured(model) as outputs:
            last = model(**batch).last_hidden_state
        with resumed(model, 1, states[0] + 1, states.beside[0]):
            changed = model(**batch).last_hidden_state
        return [last, changed, *states, *outputs, *layer_maps(model, batch)]

    batch = tiny.tokenizer(TEXTS[:3], return_tensors="pt", padding=True)
    plain = load_model(tiny.folder, tiny.tokenizer)
    plain.set_attn_implementation("eager")
    model = copy.deepcopy(plain)
    devices = placement.balanced(model, {0: 10**9, 1: 10**9})
    first = next(iter(devices))
    laid_out(
        model,
        {name: "cpu" if name == first else "disk" for name in devices},
        offload_dir=tmp_path,
    )
    assert any(each.is_meta for each in model.parameters())
    with torch.inference_mode():
        for _ in range(2):  # hooks leave the model as it was
            for one, other in zip(found(plain), found(model), strict=True):
                assert torch.equal(one, other)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two GPUs with so much memory, on which models are not really put."""

    def are(free: int) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, free))
        monkeypatch.setattr(placement, "laid_out", lambda _, devices: devices)

    return are


def test_gpus_share_whole_blocks_in_their_order(gpus: Any) -> None:
    gpus(10**9)
    devices: Any = placed(LlamaModel(LlamaConfig(**SHAPE)))
    assert next(iter(devices)) == "embed_tokens"
    assert devices["embed_tokens"] == 0
    assert devices["norm"] == 1
    assert [devices[f"layers.{layer}"] for layer in range(6)] == [0, 0, 0, 1, 1, 1]


def test_what_cannot_be_shared_is_refused(gpus: Any) -> None:
    gpus(20_000)
    with pytest.raises(UserError, match=r"GB of weights, more than 2 GPUs have room for") as caught:
        placed(LlamaModel(LlamaConfig(**SHAPE)))
    one_line(caught, "LlamaModel")
    with pytest.raises(UserError, match="its blocks are not found; allowed: gpus: 1") as caught:
        placed(AlbertModel(AlbertConfig(**SHAPE)))
    one_line(caught, "AlbertModel")


def test_checkpoints_keep_the_random_numbers_of_all_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    states = [torch.full((4,), n, dtype=torch.uint8) for n in range(2)]
    restored: dict[int, list[int]] = {}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state, n: restored.update({n: state.tolist()})
    )
    trainer: Any = object.__new__(_OverGpus)
    trainer.args = SimpleNamespace(world_size=1, parallel_mode=None)
    trainer._save_rng_state(str(tmp_path))
    trainer._load_rng_state(str(tmp_path))
    assert restored == {0: [0] * 4, 1: [1] * 4}
