"""What a job needs, and how long it computes, on a core or on the GPUs of its model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from layerscope.config.schema import Model
from layerscope.resources.memory import BYTES, Memory, weights_mb
from layerscope.resources.probes import CORE
from layerscope.resources.rates import read_rates
from layerscope.resources.sizes import ModelSize

#: Seconds to start a program with a model.
START_MODEL = 10.0
#: A job that would keep one core busy for longer than this requests a GPU.
GPU_FROM = 1800.0
#: Time asked for over time estimated, and minutes that every job of a scheduler gets.
MARGIN, LEAST_MINUTES = 3, 10
#: MB of a process that has imported torch, transformers and CUDA.
CUDA = 4000


@dataclass(frozen=True)
class Needs:
    """What a job needs: MB of memory, seconds of a core or of GPUs, GPUs, MB left on disk."""

    mem_mb: int
    seconds: float
    gpu: int = 0
    activations_mb: float = 0.0  # of the disk, what the policy `keep` may throw away
    other_mb: float = 0.0
    device: Memory | None = None  # of a model, on each GPU if there are any

    @property
    def minutes(self) -> int:
        """Minutes to ask a scheduler for, for a job of its own or the first of a group."""
        return LEAST_MINUTES + self.further_minutes

    @property
    def further_minutes(self) -> int:
        """Minutes that a further job adds to a group."""
        return math.ceil(MARGIN * self.seconds / 60)


def compute(
    operations: float,
    batches: float,
    fixed: float,
    model: Model | None = None,
    *,
    training: bool = False,
) -> tuple[float, int]:
    """Seconds, and GPUs: those of the model if a core would be busy for too long.

    Of several GPUs one computes at a time, each with its own layers.

    Args:
        operations: of the matrix products.
        batches: passes or steps, times the layers of each.
        fixed: seconds that do not depend on the device.
        model: that computes, if it may need a GPU in any case.
        training: whether the operations are those of training steps.
    """
    on_core = fixed + operations / CORE
    if on_core < GPU_FROM and not (model and model.quantisation):
        return on_core, 0
    rates = read_rates()
    rate, least = (rates.training, rates.step) if training else (rates.inference, rates.batch)
    return fixed + operations / rate + least * batches, model.gpus if model else 1


def read_mb(model: Model, size: ModelSize) -> float:
    """MB of a model's weights as they are read, before any are quantised."""
    return BYTES[model.dtype] * size.parameters / 1e6


def model_mb(model: Model, size: ModelSize) -> float:
    """MB of a model that has been loaded, with its adapter."""
    return weights_mb(size, model.adapter, model.dtype, model.quantisation)
