"""Memory of the device that computes, by what it is for.

Training keeps weights, gradients and Adam's two averages, and of each block what the way back
needs (Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models",
section 4; without attention maps, which PyTorch's kernels do not keep). With an adapter, gradients
and averages are of the adapter alone.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from layerscope.config.training import FineTuning, PreTraining
from layerscope.config.weights import Lora
from layerscope.resources.sizes import ModelSize

#: Bytes of a number, by the type of the weights; of four bits with their quantised scales.
BYTES = {"float32": 4, "bfloat16": 2}
FOUR_BITS = 0.516


@dataclass(frozen=True)
class Memory:
    """MB of a model on the device that computes."""

    weights: float = 0.0
    gradients: float = 0.0
    optimiser: float = 0.0
    activations: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.gradients + self.optimiser + self.activations

    def on_each(self, gpus: int) -> Memory:
        """Of each of the GPUs that share a model's blocks; 0 for none, and so all of it."""
        return Memory(*(each / max(gpus, 1) for each in astuple(self)))


def adapter_parameters(size: ModelSize, adapter: Lora) -> int:
    """Weights of an adapter beside all linear layers of the blocks, whatever its targets."""
    attention = 2 * (size.width + size.query) + 2 * (size.width + size.key_value)
    feed_forward = size.products * (size.width + size.inner)
    return size.layers * adapter.rank * (attention + feed_forward)


def weights_mb(
    size: ModelSize, adapter: Lora | None, dtype: str, quantisation: str | None = None
) -> float:
    """MB of a model's weights, with those of its adapter, which are in float32."""
    own = adapter_parameters(size, adapter) if adapter else 0
    number = FOUR_BITS if quantisation else BYTES[dtype]
    rest = size.parameters - size.body
    return (number * size.body + BYTES[dtype] * rest + 4 * own) / 1e6


def of_training(
    size: ModelSize,
    settings: FineTuning | PreTraining,
    tokens: float,
    *,
    adapter: Lora | None = None,
    dtype: str = "float32",
    quantisation: str | None = None,
    mixed: bool = False,
) -> Memory:
    """Of a training step.

    Args:
        size: the model's.
        settings: of the training.
        tokens: of all sequences in a pass.
        adapter: what is trained; None for all weights.
        dtype, quantisation: of the weights that are loaded.
        mixed: whether products are in bfloat16; of weights in float32 a copy is kept.
    """
    trained = adapter_parameters(size, adapter) if adapter else size.parameters
    weights = weights_mb(size, adapter, dtype, quantisation)
    if mixed and dtype == "float32":
        weights += 2 * (size.parameters - (size.body if quantisation else 0)) / 1e6
    number = 2 if mixed or dtype == "bfloat16" else 4
    kept = 5 * size.width + 2 * (size.query + size.key_value)
    kept += (4 if size.gated else 2) * size.inner
    if adapter:  # frozen products keep no inputs
        kept -= 2 * size.width + size.query + size.inner
    block = number * kept
    if mixed and dtype == "float32":
        block += 8 * size.width  # the residual stream stays in float32
    if adapter:  # each keeps its own copy of an input, and which of it are dropped
        inputs = (2 + size.products) * size.width + size.query + size.inner
        block += ((2 if mixed else 4) + (adapter.dropout > 0)) * inputs
    if isinstance(settings, FineTuning) and settings.gradient_checkpointing:
        activations = tokens * (block + number * size.width * size.layers)
    else:
        activations = tokens * block * size.layers
    return Memory(weights, 4 * trained / 1e6, 8 * trained / 1e6, activations / 1e6)
