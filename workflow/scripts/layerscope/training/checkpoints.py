"""Checkpoints of a training: where a killed job goes on, so that it ends with the same weights.

A checkpoint is a folder `step-…` that appears whole: what the Trainer saves (`trainer/`), and
`job.json` with the key of the job, the micro-batch and the digest of the rest. One that belongs to
another job or is damaged is discarded. Nothing in it is unpickled: weights are safetensors, and the
Trainer loads optimiser, schedule and generators with `weights_only`.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from layerscope.core.errors import UserError
from layerscope.core.files import (
    canonical_json,
    read_json,
    remove,
    require_newer,
    sha256_directory,
    sha256_text,
    write_json,
    writer,
)
from layerscope.models.placement import device
from layerscope.runtime.disks import refusal
from layerscope.runtime.program import STOPPED

log = logging.getLogger(__name__)

PACKAGES = ("torch", "transformers", "accelerate", "tokenizers")
JOB, STATE = "job.json", "trainer"


@dataclass(frozen=True)
class Checkpoints:
    """Where the checkpoints of one job lie, whose they are, and how often one is taken."""

    folder: Path
    key: str
    seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint of this job: a folder for the Trainer, and the micro-batch it had."""

    folder: Path
    micro_batch: int


@contextmanager
def until_success(
    folder: Path | None,
    seconds: float,
    job: Mapping[str, Any],
    inputs: Iterable[Path] = (),
    out: Path | None = None,
) -> Iterator[Checkpoints | None]:
    """Checkpoints of a job for the time of a block; all are removed if it succeeds.

    They stay if Snakemake is going to remove what was made, since the clock was set back.

    Args:
        folder: theirs alone; None for no checkpoints.
        seconds: between two of them.
        job: everything that determines the training, as JSON values. Versions of the packages that
            train and the kind of device are added.
        inputs: what the result has to be newer than.
        out: the result, which the block writes; None if its time does not matter.

    Raises:
        UserError: an input is newer than the result.
    """
    if folder is None:
        yield None
        return
    versions = {name: version(name) for name in PACKAGES}
    key = sha256_text(canonical_json([dict(job), versions, device().type]))
    for stale in folder.glob(".*.partial"):
        remove(stale)
    try:
        yield Checkpoints(folder, key, seconds)
    except BaseException:
        remove(_scratch(folder))
        raise
    if out is not None:
        require_newer(out, inputs)
    remove(folder)
    with suppress(OSError):
        os.removedirs(folder.parent)  # as far up as they are empty


def newest(checkpoints: Checkpoints) -> Checkpoint | None:
    """The last checkpoint of a job, if it has a whole one; what is none of its own is removed."""
    for path in sorted(checkpoints.folder.glob("step-*"), reverse=True):
        try:
            job = read_json(path / JOB)
            if job["key"] != checkpoints.key:
                log.warning("%s is discarded: it belongs to a job with other inputs or code", path)
            elif job["sha256"] != sha256_directory(path / STATE):
                log.warning("%s is discarded: it is damaged", path)
            else:
                return Checkpoint(path / STATE, job["micro_batch_size"])
        except (UserError, OSError, KeyError, TypeError) as error:
            log.warning("%s is discarded: it cannot be read (%s)", path, error)
        remove(path)
    return None


def discard(checkpoints: Checkpoints) -> None:
    """Remove all checkpoints of a job, which begins anew."""
    for path in checkpoints.folder.glob("step-*"):
        remove(path)


def require_own(out: Path) -> None:
    """Stop if another process has begun the same job, and so cleared what this one writes to.

    Raises:
        UserError: `out` is gone.
    """
    if not out.is_dir():
        raise UserError(
            f"{out} is gone: another process has started the same job, so this one stops; "
            "allowed: one at a time"
        )


class Saver(TrainerCallback):
    """Takes a checkpoint at the end of a step when it is time to, or when the job is to stop.

    A training that lasts long enough for checkpoints has one of its last step too, so that a kill
    during what follows costs no training. One that cannot be written is missed, with a line in the
    log: the training may still finish.
    """

    def __init__(
        self, checkpoints: Checkpoints, out: Path, micro_batch: int, asked: Callable[[], bool]
    ) -> None:
        """Take what is saved and when.

        Args:
            checkpoints: of the job.
            out: the folder that the job's result is written to.
            micro_batch: sequences in a pass.
            asked: whether the job is to stop.
        """
        self._checkpoints, self._out = checkpoints, out
        self._micro_batch, self._asked = micro_batch, asked
        self._begun = self._saved = time.monotonic()
        self._written = False

    def attach(self, trainer: Trainer) -> None:
        """Take checkpoints of a training."""
        save = trainer._save_checkpoint

        def save_or_miss(*given: Any, **options: Any) -> None:
            with self._missed_if_unwritable(trainer.state), _names_as_in_memory(trainer.model):
                save(*given, **options)
                self._written = True

        trainer._save_checkpoint = save_or_miss  # type: ignore[method-assign]
        trainer.add_callback(self)

    @contextmanager
    def _missed_if_unwritable(self, state: TrainerState) -> Iterator[None]:
        """Go on without a checkpoint that the disk refuses; stop if that was asked for.

        Raises:
            SystemExit: asked to stop.
        """
        try:
            yield
        except Exception as error:
            if (reason := refusal(error)) is None:
                raise
            step = state.global_step
            log.warning("no checkpoint after step %d, training goes on: %s", step, reason)
            self._written = False
            self._saved = time.monotonic()
            remove(_scratch(self._checkpoints.folder))
            if self._asked():
                log.info("stopped after step %d of %d, not saved", step, state.max_steps)
                sys.exit(STOPPED)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        since = self._begun if state.global_step >= state.max_steps else self._saved
        if self._asked() or time.monotonic() - since >= self._checkpoints.seconds:
            self._begin(args, state, control)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """A long evaluation ends a step: asked to stop meanwhile, the job need not wait longer."""
        if self._asked() and not control.should_save and state.global_step > 0:
            self._begin(args, state, control)

    def _begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        with self._missed_if_unwritable(state):
            args.output_dir = str(_make_scratch(self._checkpoints.folder))
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if not self._written:
            return
        self._written = False
        with self._missed_if_unwritable(state):
            self._keep(state)
        if self._asked():
            log.info("stopped after step %d of %d, saved", state.global_step, state.max_steps)
            sys.exit(STOPPED)

    def _keep(self, state: TrainerState) -> None:
        """Make what the Trainer has written the newest checkpoint."""
        scratch = _scratch(self._checkpoints.folder)
        os.replace(scratch / f"checkpoint-{state.global_step}", scratch / STATE)
        job = {
            "key": self._checkpoints.key,
            "micro_batch_size": self._micro_batch,
            "sha256": sha256_directory(scratch / STATE),
        }
        write_json(scratch / JOB, job)
        require_own(self._out)
        folder = self._checkpoints.folder
        name = f"step-{state.global_step:09d}"
        with suppress(OSError):  # another writer of the same job has it already
            os.replace(scratch, folder / name)
        remove(scratch)
        for path in folder.glob("step-*"):
            if path.name < name:
                remove(path)
        self._saved = time.monotonic()


@contextmanager
def _names_as_in_memory(model: Any) -> Iterator[None]:
    """While it lasts, a model is saved with the names that its weights have in memory.

    transformers otherwise saves experts one by one, as earlier versions did, and its Trainer passes
    over names that it does not find when it goes on.
    """
    if not isinstance(model, PreTrainedModel):  # peft's
        yield
        return
    saving: Any = model
    saving.save_pretrained = partial(model.save_pretrained, save_original_format=False)
    try:
        yield
    finally:
        del saving.save_pretrained


def _scratch(folder: Path) -> Path:
    return folder / f".{writer()}.partial"


def _make_scratch(folder: Path) -> Path:
    """An empty folder of this process; the job that ends beside it may just remove a parent."""
    scratch = _scratch(folder)
    shutil.rmtree(scratch, ignore_errors=True)
    for _ in range(3):
        with suppress(FileNotFoundError):
            scratch.mkdir(parents=True, exist_ok=True)
    return scratch
