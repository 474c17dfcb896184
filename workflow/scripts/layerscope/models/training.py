"""What fine-tuning and pre-training share in their use of the Trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import TrainingArguments

from layerscope.config.training import FineTuning, PreTraining
from layerscope.models.load import uses_bfloat16


class Items(torch.utils.data.Dataset[dict[str, Any]]):
    """A list as the data set that the Trainer asks for."""

    def __init__(self, items: Sequence[dict[str, Any]]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._items[index]


def training_arguments(
    folder: str, settings: FineTuning | PreTraining, **options: Any
) -> TrainingArguments:
    """AdamW, no checkpoints, the loss logged by step.

    After its rise the rate falls linearly to 0, or stays if the settings of fine-tuning say so.
    Without weight decay AdamW is Adam: they differ in the decay alone (Loshchilov and Hutter 2019).

    Args:
        folder: a scratch folder of the Trainer.
        settings: rates, schedule and batch size.
        options: further arguments of `TrainingArguments`.
    """
    constant = isinstance(settings, FineTuning) and settings.schedule == "constant"
    return TrainingArguments(
        output_dir=folder,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_share,
        lr_scheduler_type="constant_with_warmup" if constant else "linear",
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        bf16=uses_bfloat16(settings.precision),
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        logging_strategy="steps",
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        **options,
    )
