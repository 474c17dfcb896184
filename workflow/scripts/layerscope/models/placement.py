"""Where a model's weights are: on the processor, on a GPU, or by whole blocks on several GPUs.

On several GPUs accelerate lays a model out, and moves states from one to the next. What a model
gives is on the first one, where its inputs are. Only one GPU computes at a time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from accelerate.utils import get_balanced_memory, send_to_device
from transformers import PreTrainedModel

from layerscope.core.errors import NotApplicableError, UserError
from layerscope.models.parts import blocks
from layerscope.runtime.gpus import VISIBLE

log = logging.getLogger(__name__)


def device() -> torch.device:
    """The accelerator if there is one, the first of several, else the CPU.

    The log says so where this process was given a GPU that PyTorch cannot use.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if given := os.environ.get(VISIBLE):
        log.warning(
            "GPU %s cannot be used: PyTorch %s finds no CUDA; running on the CPU, slowly",
            given, torch.__version__,
        )  # fmt: skip
    return torch.device("cpu")


def placed(model: PreTrainedModel) -> PreTrainedModel:
    """The same model on the accelerator of this job, or over all of them; else on the CPU.

    Raises:
        UserError: there are several, and the model has no blocks that are found, or no room.
    """
    count = torch.cuda.device_count()
    if count < 2:
        return model.to(device())  # type: ignore[arg-type]
    free = {place: torch.cuda.mem_get_info(place)[0] for place in range(count)}
    return laid_out(model, balanced(model, free))


def balanced(model: PreTrainedModel, free: Mapping[int, int]) -> dict[str, int]:
    """Devices of a model's modules, in their order, with about as many weights on each.

    Args:
        model: not yet on any of them.
        free: bytes of each device.

    Returns:
        Devices by names of modules; a block is on one device.

    Raises:
        UserError: its blocks are not found, or the devices have too little memory.
    """
    try:
        whole = sorted({type(block).__name__ for block in blocks(model)})
    except NotApplicableError as error:
        raise UserError(f"{error}; allowed: gpus: 1") from None
    options: Any = {"no_split_module_classes": whole}
    most = get_balanced_memory(model, dict(free), **options)
    found = infer_auto_device_map(model, most, **options)
    if set(found.values()) - set(free):
        size = sum(each.numel() * each.element_size() for each in model.parameters())
        room = " + ".join(f"{each / 1e9:.1f}" for each in free.values())
        raise UserError(
            f"{type(model).__name__}: {size / 1e9:.1f} GB of weights, more than {len(free)} GPUs "
            f"have room for ({room} GB); allowed: more gpus, or a smaller dtype"
        )
    return dict(found)


def laid_out(model: PreTrainedModel, devices: Mapping[str, Any], **options: Any) -> PreTrainedModel:
    """The same model with its modules on some devices.

    Args:
        model: all of it in the processor's memory.
        devices: by names of modules, the inputs' first.
        options: further arguments of accelerate's `dispatch_model`.
    """
    first = next(iter(devices.values()))
    skipped: Any = model._skip_keys_device_placement
    dispatch_model(model, dict(devices), main_device=first, skip_keys=skipped, **options)
    if (body := model.base_model) is not model:  # which is read without the head, too
        hook = AlignDevicesHook(execution_device=first, io_same_device=True, skip_keys=skipped)
        add_hook_to_module(body, hook, append=True)
    found: Any = blocks(model)
    for block, following in pairwise(found):
        here, there = (each._hf_hook.execution_device for each in (block, following))
        if here != there:
            # Before the next block and not in it: one that is computed again restores the
            # random numbers of the devices that its inputs are on.
            block.register_forward_hook(
                lambda _, __, output, there=there: send_to_device(output, there)
            )
    return model
