"""How fine-tuning and pre-training use the Trainer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from layerscope.config.training import FineTuning, PreTraining
from layerscope.core.errors import UserError
from layerscope.models.load import uses_bfloat16
from layerscope.models.memory import free_memory, is_out_of_memory
from layerscope.runtime.program import defer_sigterm
from layerscope.training.checkpoints import (
    Checkpoint,
    Checkpoints,
    Saver,
    discard,
    newest,
    require_own,
)
from layerscope.training.order import Epochs, Items

log = logging.getLogger(__name__)

IGNORED = -100  # label that the loss leaves out
LOG_STEPS = 10  # steps that one entry of a log is of
GENERATORS = "generators.safetensors"  # of a checkpoint: their states, by number of the GPU

Result = TypeVar("Result")


def training_arguments(
    folder: str, settings: FineTuning | PreTraining, micro_batch: int, **options: Any
) -> TrainingArguments:
    """AdamW, the loss logged by step, on one device; when to save is left to `Saver`.

    After its rise the rate falls linearly to 0, or stays if the settings of fine-tuning say so.
    Without weight decay AdamW is Adam: they differ in the decay alone (Loshchilov and Hutter 2019).

    Args:
        folder: a scratch folder of the Trainer.
        settings: rates, schedule and batch size.
        micro_batch: sequences in a pass, a divisor of the batch size: an optimiser step is of as
            many passes as make the batch.
        options: further arguments of `TrainingArguments`.
    """
    constant = isinstance(settings, FineTuning) and settings.schedule == "constant"
    if isinstance(settings, FineTuning) and settings.gradient_checkpointing:
        options |= {
            "activation_checkpointing": True,
            "activation_checkpointing_kwargs": {"use_reentrant": False},
        }
    arguments = TrainingArguments(
        output_dir=folder,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_ratio,
        lr_scheduler_type="constant_with_warmup" if constant else "linear",
        per_device_train_batch_size=micro_batch,
        per_device_eval_batch_size=micro_batch,
        gradient_accumulation_steps=settings.batch_size // micro_batch,
        bf16=uses_bfloat16(settings.precision),
        use_cpu=not torch.cuda.is_available(),
        train_sampling_strategy="sequential",  # `Epochs` has the order
        save_strategy="no",
        logging_strategy="steps",
        logging_steps=1,  # of more, the Trainer would forget at a resume what it had summed up
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        **options,
    )
    # On several devices the Trainer would multiply the batch by their number.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def loss_of_step(
    outputs: Any,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | None = None,
    *,
    causal: bool = False,
) -> torch.Tensor:
    """Cross-entropy in float32: the sum of a pass over the number of labels of the whole step.

    The mean of a step's passes would weigh labels by how many their pass has.

    Args:
        outputs: of the model, with `logits`.
        labels: of a sequence or of each of its sub-words; -100 is left out.
        num_items_in_batch: labels in all passes of the optimiser step; None for those of this one.
        causal: each sub-word predicts the next one's label.
    """
    logits = outputs["logits"].float()
    if causal:
        logits, labels = logits[:, :-1], labels[:, 1:]
    total = cross_entropy(
        logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    count = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
    return total / count.clamp(min=1)


class _OverGpus(Trainer):
    """A Trainer whose checkpoints keep the random numbers of all GPUs, not of the first alone."""

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        if torch.cuda.device_count() > 1:
            states = {str(n): state for n, state in enumerate(torch.cuda.get_rng_state_all())}
            save_file(states, Path(output_dir, GENERATORS))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        path = Path(checkpoint or "", GENERATORS)
        if path.is_file():
            for n, state in load_file(path).items():
                if int(n) < torch.cuda.device_count():
                    torch.cuda.set_rng_state(state, int(n))


class _Progress(TrainerCallback):
    """Says in the log how far a training is."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        logs = logs or {}
        for name, text in (("loss", "loss"), ("eval_loss", "held-out loss")):
            if name in logs and (name != "loss" or state.global_step % LOG_STEPS == 0):
                log.info(
                    "step %d of %d: %s %.4f", state.global_step, state.max_steps, text, logs[name]
                )


def make_trainer(
    model: Any,
    arguments: TrainingArguments,
    train: Epochs,
    held: Items,
    collate: Callable[..., Any],
    *,
    causal: bool = False,
) -> Trainer:
    """A Trainer that says how far it is and whose loss is `loss_of_step`."""
    trainer = _OverGpus(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=held,
        data_collator=collate,
        compute_loss_func=partial(loss_of_step, causal=causal),
        callbacks=[_Progress()],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


@dataclass(frozen=True)
class Run:
    """One attempt at a training: what it writes, and where it starts."""

    out: Path  # the folder that the result is written to
    micro_batch: int  # sequences in a pass
    checkpoints: Checkpoints | None  # where to save; None for nowhere
    checkpoint: Checkpoint | None  # where to go on; None for the start


def train_on(trainer: Trainer, run: Run) -> None:
    """Run a Trainer, with the model as it was before the training, to its end.

    Raises:
        UserError: another process has begun the same job.
        SystemExit: asked to stop, after saving.
    """
    resume = None
    if run.checkpoint is not None:
        resume = str(run.checkpoint.folder)
        state = TrainerState.load_from_json(f"{resume}/trainer_state.json")
        log.info("resuming after step %d of %d", state.global_step, state.max_steps)
        if state.global_step >= state.max_steps:  # the Trainer would train one step more
            trainer._load_from_checkpoint(resume)
            trainer.state = state
            return
    if run.checkpoints is None:
        trainer.train()
    else:
        with defer_sigterm() as asked:
            Saver(run.checkpoints, run.out, run.micro_batch, asked).attach(trainer)
            trainer.train(resume_from_checkpoint=resume)
    require_own(run.out)


def within_memory(
    attempt: Callable[[Run], Result],
    settings: FineTuning | PreTraining,
    out: Path,
    checkpoints: Checkpoints | None,
) -> Result:
    """Train with a whole batch in a pass, or with as much of it as the device has memory for.

    Args:
        attempt: trains, and keeps nothing of it when it fails.
        settings: with the batch size and the longest sequence.
        out: the folder that the result is written to.
        checkpoints: of the job.

    Raises:
        UserError: not even one sequence fits.
    """
    checkpoint = newest(checkpoints) if checkpoints else None
    micro_batch = checkpoint.micro_batch if checkpoint else settings.batch_size
    while True:
        try:
            return attempt(Run(out, micro_batch, checkpoints, checkpoint))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        free_memory()
        if micro_batch == 1:
            tuning = isinstance(settings, FineTuning)
            name = "max_length" if tuning else "sequence_length"
            raise UserError(
                f"out of memory with batch_size {settings.batch_size}, even one sequence at a "
                f"time, and {name} {getattr(settings, name)}; allowed: a smaller {name}, a smaller "
                "model, or a device with more memory"
            )
        halves = range(micro_batch // 2, 0, -1)
        smaller = next(size for size in halves if settings.batch_size % size == 0)
        log.warning(
            "out of memory with %d sequences in a pass; training restarts with %d; %d "
            "passes make up a batch of %d as before",
            *(micro_batch, smaller, settings.batch_size // smaller, settings.batch_size),
        )
        micro_batch, checkpoint = smaller, None
        if checkpoints:
            discard(checkpoints)


def final_loss(state: TrainerState) -> tuple[float, float | None]:
    """Mean and standard error of the loss in the last fifth of the steps, and in ten at least.

    The error is that of independent steps; there is none of one step.
    """
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    last = np.asarray(losses[-max(len(losses) // 5, 10) :])
    error = float(last.std(ddof=1) / np.sqrt(len(last))) if len(last) > 1 else None
    return float(last.mean()), error


def loss_log(state: TrainerState) -> list[dict[str, float]]:
    """Mean loss of each `LOG_STEPS` steps, and the rate at their last: for the history."""
    steps = [entry for entry in state.log_history if "loss" in entry]
    groups = [steps[at : at + LOG_STEPS] for at in range(0, len(steps), LOG_STEPS)]
    return [
        {
            "step": group[-1]["step"],
            "loss": sum(entry["loss"] for entry in group) / LOG_STEPS,
            "learning_rate": group[-1]["learning_rate"],
        }
        for group in groups
        if len(group) == LOG_STEPS
    ]
