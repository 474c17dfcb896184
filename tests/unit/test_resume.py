"""A training that is killed goes on at the same step and ends with the same bytes."""

from __future__ import annotations

import errno
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from test_finetuning import SETTINGS, pairs, sentences, tuned
from test_pretraining import SETTINGS as PRETRAINING
from test_pretraining import SHAPE, run
from tiny_models import Tiny, save_encoder
from transformers import MixtralConfig, MixtralForTokenClassification, Trainer

from layerscope.config.weights import Lora
from layerscope.core.errors import UserError
from layerscope.core.files import require_newer, require_past, whole_directory, writer
from layerscope.runtime.program import STOPPED
from layerscope.training import checkpoints as checkpoints_module
from layerscope.training import trainer
from layerscope.training.checkpoints import Checkpoints, newest, until_success

pytestmark = pytest.mark.slow

BRIEF = SETTINGS.model_copy(update={"epochs": 3})  # 26 examples: 4 steps an epoch, the last of 2
STEPS = 12

Train = Callable[[Path, Checkpoints | None], Any]


class Killed(BaseException):
    """What nothing catches."""


@pytest.fixture(params=["encoder-nli", "encoder-nli-lora", "decoder-ner", "causal", "masked"])
def train(request: pytest.FixtureRequest, tmp_path: Path) -> Train:
    """A training of 12 steps that writes to a folder."""
    if request.param.startswith(("encoder", "decoder")):
        name, kind, *lora = request.param.split("-")
        adapter = Lora(kind="lora", rank=2) if lora else None
        tiny, table = request.getfixturevalue(name), (pairs if kind == "nli" else sentences)(26, 1)
        return lambda out, checkpoints: tuned(
            tiny, out, table, settings=BRIEF, adapter=adapter, checkpoints=checkpoints
        )
    batch = 67 if request.param == "causal" else 35  # 268 and 139 sequences: 4 steps an epoch
    settings = PRETRAINING.model_copy(update={"steps": STEPS, "batch_size": batch})
    options: dict[str, Any] = {"shape": SHAPE}
    if request.param == "masked":
        base = save_encoder(tmp_path / "base", head=True)
        options = {"base": base, "architecture": "encoder"}
    return lambda out, checkpoints: run(out, settings=settings, checkpoints=checkpoints, **options)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Counts optimiser steps in `done`, and kills before the one after `kill`."""
    counted: dict[str, Any] = {"done": 0, "kill": None, "sizes": []}
    step, end = Trainer.training_step, trainer.require_own

    def counting(self: Trainer, model: Any, inputs: Any, *more: Any) -> Any:
        if self.state.global_step == counted["kill"]:
            raise Killed
        counted["done"] += 1
        counted["sizes"].append(len(inputs["input_ids"]))
        return step(self, model, inputs, *more)

    def ending(out: Path) -> None:
        if counted["kill"] == STEPS:
            raise Killed
        end(out)

    monkeypatch.setattr(Trainer, "training_step", counting)
    monkeypatch.setattr(trainer, "require_own", ending)
    return counted


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_killed_at_any_step_it_ends_with_the_same_bytes(
    train: Train, steps: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle, at the end of an epoch, after an evaluation, and after the last step."""
    caplog.set_level(logging.INFO)
    expected = train(tmp_path / "whole", None)
    assert steps["done"] == STEPS
    steps["done"] = 0
    checkpoints = Checkpoints(tmp_path / "checkpoints", "key", 0)
    for kill in (1, 3, 4, 6, STEPS):
        steps["kill"] = kill
        with pytest.raises(Killed):
            train(tmp_path / f"killed-{kill}", checkpoints)
        (path,) = checkpoints.folder.iterdir()
        assert path.name == f"step-{kill:09d}"
        has_model = (path / "trainer" / "model.safetensors").exists()
        assert has_model != (path / "trainer" / "adapter_model.safetensors").exists()
    steps["kill"] = None
    caplog.clear()
    assert train(tmp_path / "resumed", checkpoints) == expected
    assert f"resuming after step {STEPS} of {STEPS}" in caplog.text
    assert steps["done"] == STEPS  # none twice
    assert contents(tmp_path / "resumed") == contents(tmp_path / "whole")


def test_a_checkpoint_has_the_names_that_weights_have_in_memory(tmp_path: Path) -> None:
    """transformers saves experts one by one, and passes over them when a training goes on."""
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 9}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 2}
    model = MixtralForTokenClassification(MixtralConfig(**size, **heads))
    with checkpoints_module._names_as_in_memory(model):
        model.save_pretrained(tmp_path / "checkpoint")
    model.save_pretrained(tmp_path / "result")
    names = {
        folder: set(load_file(tmp_path / folder / "model.safetensors"))
        for folder in ("checkpoint", "result")
    }
    assert names["checkpoint"] == set(model.state_dict()) != names["result"]


def test_when_checkpoints_are_taken_changes_nothing(
    encoder: Tiny, steps: dict[str, Any], tmp_path: Path
) -> None:
    found = []
    for seconds in (0, 3600):
        folder = tmp_path / f"checkpoints-{seconds}"
        tuned(encoder, tmp_path / str(seconds), pairs(26, 1), settings=BRIEF,
              checkpoints=Checkpoints(folder, "key", seconds))  # fmt: skip
        assert folder.exists() == (seconds == 0)  # a short job writes none
        found.append(contents(tmp_path / str(seconds)))
    assert found[0] == found[1]


def no_room(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def torch_without_room(*_: Any, **__: Any) -> None:
    raise RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/0")


UNWRITABLE = {
    "folder": (checkpoints_module, "_make_scratch", no_room),
    "weights": (Trainer, "save_model", no_room),
    "optimiser": (Trainer, "_save_optimizer_and_scheduler", torch_without_room),
    "job.json": (checkpoints_module, "write_json", no_room),
}


@pytest.mark.parametrize("what", UNWRITABLE)
def test_a_checkpoint_that_cannot_be_written_is_missed(
    what: str,
    encoder: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The training ends as without; asked to stop it stops, with the code of a polite kill."""
    settings = SETTINGS.model_copy(update={"epochs": 1})
    monkeypatch.setattr(*UNWRITABLE[what])
    checkpoints = Checkpoints(tmp_path / "checkpoints", "key", 0)
    for out, given in (("missed", checkpoints), ("without", None)):
        tuned(encoder, tmp_path / out, pairs(26, 1), settings=settings, checkpoints=given)
    assert contents(tmp_path / "missed") == contents(tmp_path / "without")
    assert "no checkpoint after step 1, training goes on: " in caplog.text
    assert not checkpoints.folder.exists() or list(checkpoints.folder.iterdir()) == []
    step = Trainer.training_step

    def asked(*given: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return step(*given)

    monkeypatch.setattr(Trainer, "training_step", asked)
    with pytest.raises(SystemExit) as stopped:
        tuned(encoder, tmp_path / "x", pairs(26, 1), settings=settings, checkpoints=checkpoints)
    assert stopped.value.code == STOPPED


def killed(tiny: Tiny, folder: Path, steps: dict[str, Any], key: str = "key") -> Checkpoints:
    """A fine-tuning that was killed after five steps."""
    checkpoints = Checkpoints(folder / "checkpoints", key, 0)
    steps["kill"] = 5
    with pytest.raises(Killed):
        tuned(tiny, folder / "killed", pairs(26, 1), settings=BRIEF, checkpoints=checkpoints)
    steps.update(kill=None, done=0)
    return checkpoints


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("key", "it belongs to a job with other inputs or code"),
        ("weights", "it is damaged"),
        ("optimiser", "it is damaged"),
        ("job.json", "it cannot be read"),
    ],
)
def test_a_checkpoint_of_another_job_or_a_damaged_one_is_discarded(
    harm: str,
    said: str,
    encoder: Tiny,
    steps: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    checkpoints = killed(encoder, tmp_path, steps)
    (path,) = checkpoints.folder.iterdir()
    if harm == "key":
        checkpoints = Checkpoints(checkpoints.folder, "another", 3600)
    elif harm == "job.json":
        (path / "job.json").write_text("{")
    else:
        file = path / "trainer" / ("model.safetensors" if harm == "weights" else "optimizer.pt")
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert newest(checkpoints) is None
    assert caplog.text.count("is discarded") == 1
    assert f"{path} is discarded: {said}" in caplog.text
    assert list(checkpoints.folder.iterdir()) == []


def test_the_one_before_serves_if_the_last_is_damaged(
    encoder: Tiny, steps: dict[str, Any], tmp_path: Path
) -> None:
    checkpoints = killed(encoder, tmp_path, steps)
    (path,) = checkpoints.folder.iterdir()
    (checkpoints.folder / "step-000000009").mkdir()
    found = newest(checkpoints)
    assert found is not None
    assert found.folder == path / "trainer"


# --- two processes of one job ------------------------------------------------------------------


def test_the_process_that_began_first_ends_and_the_other_wins(
    encoder: Tiny, steps: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first loses contact with its scheduler, which starts the job again; both run."""
    out, folder = tmp_path / "out", tmp_path / "checkpoints"
    own = writer()

    def second(*_: Any) -> None:
        monkeypatch.setattr(trainer.Saver, "on_step_begin", lambda *_, **__: None)
        monkeypatch.setattr("layerscope.core.files.writer", lambda: "elsewhere-1")
        with whole_directory(out) as partial:
            (partial / "whole").write_text("second")
        monkeypatch.setattr("layerscope.core.files.writer", lambda: own)

    def third_step(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 2:
            second()

    monkeypatch.setattr(trainer.Saver, "on_step_begin", third_step)

    def first() -> None:
        with until_success(folder, 0, {}) as checkpoints, whole_directory(out) as partial:
            partial.rmdir()
            tuned(encoder, partial, pairs(26, 1), settings=BRIEF, checkpoints=checkpoints)

    with pytest.raises(UserError, match="another process has started the same job"):
        first()
    assert steps["done"] == 3
    assert contents(out) == {"whole": b"second"}
    assert list(tmp_path.rglob(".*")) == []


def test_success_removes_the_checkpoints_and_empty_folders_above(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "checkpoints" / "task" / "model"
    (tmp_path / "results" / "kept").mkdir(parents=True)
    (folder / "step-000000001").mkdir(parents=True)
    with until_success(folder, 1, {}):
        pass
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["kept"]


def test_checkpoints_stay_where_the_clock_was_set_back(tmp_path: Path) -> None:
    """Snakemake then removes the finished output, which is older than what it was made from."""
    data, folder = tmp_path / "data", tmp_path / "checkpoints" / "job"
    data.write_text("")
    os.utime(data, (time.time() + 30, time.time() + 30))
    out = tmp_path / "out"
    kept = until_success(folder, 0, {}, [tmp_path / "gone", data], out)

    def train() -> None:
        with kept:
            (folder / "step-000000001").mkdir(parents=True)
            out.mkdir()

    with pytest.raises(UserError, match=r"data: changed (29|30) s after .*out, which was"):
        train()
    assert (folder / "step-000000001").is_dir()
    require_past([data], tolerance=60)
    with pytest.raises(UserError, match=r"data: its time is (29|30) s in the future"):
        require_past([data], tolerance=10)
    os.utime(out, (time.time() + 40, time.time() + 40))  # by a file server that is ahead of here
    require_newer(out, [data])


def test_failure_keeps_checkpoints_and_clears_what_is_half_saved(tmp_path: Path) -> None:
    (tmp_path / "step-000000001").mkdir()
    (tmp_path / ".elsewhere-7.partial").mkdir()

    def fail() -> None:
        with until_success(tmp_path, 1, {}):
            assert not (tmp_path / ".elsewhere-7.partial").exists()
            (tmp_path / f".{writer()}.partial").mkdir()
            raise Killed

    with pytest.raises(Killed):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


def test_a_key_depends_on_the_job(tmp_path: Path) -> None:
    keys = set()
    for job in ({"seed": 1}, {"seed": 2}, {"seed": 1, "files": ["x"]}, {"seed": 1}):
        with until_success(tmp_path / "c", 1, job) as checkpoints:
            assert checkpoints is not None
            keys.add(checkpoints.key)
    assert len(keys) == 3
