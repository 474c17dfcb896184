"""Fine-tunings as the workflow runs them: the program itself, in a process that can be killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import common
import shapes
from common import Setting
from transformers import AutoModel

from layerscope.config.training import FineTuning
from layerscope.core.formats import write_table
from layerscope.run_records.content import record_path

PROGRAM = Path(__file__).resolve().parents[2] / "workflow" / "scripts" / "finetune.py"


class Running:
    """A fine-tuning that has been started."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("w", encoding="utf-8") as stream:
            self.process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)

    def kill_at(self, text: str, how: signal.Signals) -> int:
        """Wait until the log says something, then kill; the exit code."""
        while text not in self.log.read_text(encoding="utf-8"):
            if self.process.poll() is not None:
                raise RuntimeError(f"ended before {text!r}: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)
        self.process.send_signal(how)
        return self.process.wait()

    def finish(self) -> None:
        """Wait for its end.

        Raises:
            RuntimeError: it failed.
        """
        if self.process.wait():
            raise RuntimeError(self.log.read_text(encoding="utf-8")[-2000:])


class Job:
    """One fine-tuning of a small model, to be run as often as one likes."""

    def __init__(self, folder: Path, setting: Setting, steps: int) -> None:
        self._folder, self._setting = folder, setting
        batch, config = 8, common.family_config("BERT")
        if not setting.tiny:
            # Attention of few heads and sequences is split over the keys, and then its gradients
            # add in any order: enough of both that it need not be.
            batch, config = 32, common.family_config("BERT", layers=4, width=256, heads=8)
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            setattr(config, name, 0.1)  # dropout is part of what a resume has to go on with
        common.torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder / "model")
        shape = shapes.Shape("small", "encoder", 1, 1, 1, common.TINY_VOCABULARY, 512)
        shapes.tokenizer(shape).save_pretrained(folder / "model")
        described = {"labels": shapes.TAGS, "task": "made-up", "split": "train"}
        table = shapes.tagged(batch * steps)
        write_table(folder / "train.parquet", "ner", table, described)
        write_table(folder / "validation.parquet", "ner", shapes.tagged(8, seed=1), described)
        ids = {"example_id": table["example_id"].to_pylist()}
        write_table(folder / "sample.parquet", "sample", ids, {})
        self._settings = FineTuning(
            learning_rate=1e-4,
            epochs=1,
            batch_size=batch,
            max_length=shapes.LIMIT,
            precision="auto",
        )

    def out(self, name: str) -> Path:
        """The folder of a result."""
        return self._folder / name

    def record(self, name: str) -> Path:
        """The record beside it."""
        return record_path(self.out(name))

    def start(self, name: str, *more: str, seconds: float | None = None) -> Running:
        """Start it; with `seconds` between checkpoints if there are to be any.

        Each result has device locks of its own, so that several can run on one GPU.
        """
        temporary = self._folder / f"{name}-tmp"
        temporary.mkdir(exist_ok=True)
        command = [
            sys.executable, str(PROGRAM), "--kind", "ner", "--architecture", "encoder",
            "--settings", json.dumps(self._settings.model_dump(mode="json")), "--seed", "1",
            "--model", str(self._folder / "model"),
            "--train", str(self._folder / "train.parquet"),
            "--sample", str(self._folder / "sample.parquet"),
            "--validation", str(self._folder / "validation.parquet"),
            "--out", str(self.out(name)), "--gpus", str(int(self._setting.cuda)), *more,
        ]  # fmt: skip
        if seconds is not None:
            checkpoints = str(self._folder / f"{name}-checkpoints")
            command += ["--checkpoints", checkpoints, "--checkpoint-seconds", str(seconds)]
        environment = {**os.environ, "TMPDIR": str(temporary)}
        return Running(command, environment, self._folder / f"{name}.log")

    def digest(self, name: str) -> str:
        """Of the weights of a result."""
        weights = (self.out(name) / "model.safetensors").read_bytes()
        return hashlib.sha256(weights).hexdigest()

    def losses(self, name: str) -> list[Any]:
        """The log of a result."""
        history = json.loads((self.out(name) / "history.json").read_text(encoding="utf-8"))
        return [entry["loss"] for entry in history["log"]]
