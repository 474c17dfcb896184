"""Fine-tuned models with layers from before fine-tuning, and the other way round.

Where does what fine-tuning changed matter for the score? The states of one model are put into
another, as in causal mediation (Vig et al. 2020, "Investigating gender bias in language models
using causal mediation analysis") and causal tracing (Meng et al. 2022, "Locating and editing
factual associations in GPT"), but between two models and one input. Each layer, 0 being all that
stands before the blocks, has the weights of the one model or of the other, or a mixture of both:

- `one-layer`: one layer has those of the other model;
- `up-to-layer`: so have all layers up to one, which is to put the states of that layer of the other
  model in at all tokens;
- `line`: all layers are mixed alike (linear mode connectivity: Frankle et al. 2020, "Linear mode
  connectivity and the lottery ticket hypothesis").

What comes after the blocks is the fine-tuned model's in any case: final norm, pooler and head.
Of an adapter, the weights before are those of its base, and a mixture is a share of what its
low-rank matrices add: exact, and nothing is merged.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from layerscope.core.errors import NotApplicableError
from layerscope.models.adapters import LowRank
from layerscope.models.batching import collate
from layerscope.models.hooks import resumed, states_captured
from layerscope.models.inputs import encode_text
from layerscope.models.loaded import LoadedModel
from layerscope.models.parts import blocks, unshare_blocks

NONE, ONE, UP_TO, LINE = "none", "one-layer", "up-to-layer", "line"
#: Which model the layers of the other one are put into.
INTO_FINE_TUNED, INTO_PRETRAINED = "into-finetuned", "into-pretrained"
#: Points on the straight line, as shares of the fine-tuned weights.
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: How what is not applicable is called.
PATCHING, ONE_PATCHED = "patching", "one layer patched"

#: The share of the fine-tuned weights in each layer, from 0 on.
Mixture = tuple[float, ...]
Row = dict[str, Any]

log = logging.getLogger(__name__)


class Patch(NamedTuple):
    """Which layers of a model have which weights."""

    name: str  # none, one-layer, up-to-layer or line
    mixture: Mixture
    direction: str | None = None  # of the line none
    layer: int | None = None  # 0 stands before the blocks
    weight: float | None = None  # of the line


def patches_of(last: int, single: bool = True) -> list[Patch]:
    """All patches of a model; those that are the same mixture are scored once.

    Args:
        last: number of its last layer.
        single: whether one layer can be patched without the others.
    """
    found = []
    for direction, own, other in ((INTO_FINE_TUNED, 1.0, 0.0), (INTO_PRETRAINED, 0.0, 1.0)):
        found.append(Patch(NONE, (own,) * (last + 1), direction))
        for layer in range(last + 1) if single else ():
            mixture = tuple(other if at == layer else own for at in range(last + 1))
            found.append(Patch(ONE, mixture, direction, layer))
        for layer in range(last + 1):
            mixture = tuple(other if at <= layer else own for at in range(last + 1))
            found.append(Patch(UP_TO, mixture, direction, layer))
    return [*found, *(Patch(LINE, (at,) * (last + 1), weight=at) for at in WEIGHTS)]


class Place(NamedTuple):
    """A parameter of a module, as it is after fine-tuning and as it was before."""

    owner: nn.Module
    name: str
    after: nn.Parameter
    before: nn.Parameter


@dataclass
class Layer:
    """What fine-tuning may have changed in a layer: parameters, or low-rank matrices."""

    places: list[Place] = field(default_factory=list)
    adapters: list[tuple[LowRank, float]] = field(default_factory=list)  # with their scales

    def mix(self, weight: float) -> None:
        """Give the layer this share of the fine-tuned weights, and the rest from before.

        Parameters are replaced and not written to: with a weight of 0 or 1 by those of the models.
        """
        for owner, name, after, before in self.places:
            chosen = after if weight == 1 else before
            if 0 < weight < 1:
                between = torch.lerp(before.detach(), after.detach(), weight)
                chosen = nn.Parameter(between, requires_grad=False)
            setattr(owner, name, chosen)
        for adapter, scale in self.adapters:
            adapter.scale = scale * weight


@contextmanager
def mixed(layers: Sequence[Layer], mixture: Mixture) -> Iterator[None]:
    """While it lasts, layers have the weights of a mixture; then those of the fine-tuned model."""
    try:
        for layer, weight in zip(layers, mixture, strict=True):
            layer.mix(weight)
        yield
    finally:
        for layer in layers:
            layer.mix(1.0)


def layers_of(loaded: LoadedModel, before: PreTrainedModel | None) -> tuple[list[Layer], bool]:
    """The layers of a fine-tuned model, and whether one can be patched without the others.

    Args:
        loaded: the fine-tuned model with its head, or with an adapter.
        before: the model before fine-tuning, without a head; None for an adapter's.

    Raises:
        NotApplicableError: its blocks are not found or share modules, or the model before has other
            weights.
    """
    model = loaded.model
    found, body, late = blocks(model), model.base_model, _after_blocks(loaded)
    numbers = Counter(id(module) for block in found for module in block.modules())
    if max(numbers.values()) > 1:
        raise NotApplicableError(f"{type(model).__name__}: its blocks share modules")
    place = {id(m): at for at, block in enumerate(found, start=1) for m in block.modules()}
    layers = [Layer() for _ in range(len(found) + 1)]
    if before is not None:
        unshare_blocks(before)
    for name, module in body.named_modules():
        if id(module) in late:
            continue
        layer = layers[place.get(id(module), 0)]
        if isinstance(module, LowRank):
            layer.adapters.append((module, module.scale))
        elif before is not None:
            layer.places += _places(module, before, name)
    holders = Counter(each for block in found for each in {id(p) for p in block.parameters()})
    return layers, max(holders.values(), default=1) == 1


def _places(module: nn.Module, before: PreTrainedModel, name: str) -> Iterator[Place]:
    """The parameters of a module itself beside those of the same name before fine-tuning."""
    for own, after in module.named_parameters(recurse=False):
        try:
            old = before.get_submodule(name).get_parameter(own)
        except AttributeError:
            old = None
        if old is None or old.shape != after.shape:
            raise NotApplicableError(
                f"{type(before).__name__}: '{name}.{own}' of the fine-tuned model is not that of "
                "the model before fine-tuning"
            )
        # In the memory that it has, where type and device are the same.
        yield Place(module, own, after, nn.Parameter(old.detach().to(after), requires_grad=False))


def _after_blocks(loaded: LoadedModel) -> set[int]:
    """Modules, by identity, that compute after the last block, as a pass shows."""
    model, special = loaded.model, loaded.special_tokens
    late: set[int] = set()
    ended = False

    def end(*_: Any) -> None:
        nonlocal ended
        ended = True

    def note(module: nn.Module, *_: Any) -> None:
        if ended:
            late.add(id(module))

    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_pre_hook(note).remove)
        stack.callback(blocks(model)[-1].register_forward_hook(end).remove)
        sequences, _ = encode_text(loaded.tokenizer, special, ["a"], 16)
        batch = collate(sequences, special, next(model.parameters()).device)
        with torch.inference_mode():
            model(**batch)
    return late


class Patched(nn.Module):
    """A fine-tuned model that answers a batch with each of some mixtures of its weights.

    What comes before the first layer that differs is computed once, by the fine-tuned model and by
    that before fine-tuning.
    """

    def __init__(
        self, model: PreTrainedModel, layers: Sequence[Layer], mixtures: Sequence[Mixture]
    ) -> None:
        super().__init__()
        self.model, self.config = model, model.config
        self.layers, self.mixtures = layers, mixtures

    def forward(self, **batch: torch.Tensor) -> list[torch.Tensor]:
        """Logits with each mixture."""
        whole = {}
        for weight in (1.0, 0.0):
            with mixed(self.layers, (weight,) * len(self.layers)):
                with states_captured(self.model) as states:
                    logits = self.model(**batch).logits
                whole[weight] = logits, states
        return [self._answer(mixture, whole, batch) for mixture in self.mixtures]

    def _answer(self, mixture: Mixture, whole: Mapping[float, Any], batch: Any) -> torch.Tensor:
        first = mixture[0]
        alike = len(list(takewhile(lambda weight: weight == first, mixture)))
        found: torch.Tensor
        if first in whole and alike == len(mixture):
            found, _ = whole[first]
            return found
        with ExitStack() as stack:
            stack.enter_context(mixed(self.layers, mixture))
            last = alike - 1
            if first in whole and last > 0:
                _, states = whole[first]
                given = states[last - 1], states.beside[last - 1]
                stack.enter_context(resumed(self.model, last, *given))
            found = self.model(**batch).logits
        return found


def rows_of(
    patches: Sequence[Patch], scores: Mapping[Mixture, Mapping[str, float]]
) -> Iterator[Row]:
    """Rows of kind "patch", a row a patch and metric.

    Args:
        patches: as from `patches_of`.
        scores: value by metric of each mixture. The change is from the model that is patched, and
            on the line from the fine-tuned one.
    """
    for patch in patches:
        own = 0.0 if patch.direction == INTO_PRETRAINED else 1.0
        plain = scores[(own,) * len(patch.mixture)]
        for metric, value in scores[patch.mixture].items():
            yield {
                "patch": patch.name,
                "direction": patch.direction,
                "layer": patch.layer,
                "weight": patch.weight,
                "metric": metric,
                "value": value,
                "change": value - plain[metric],
            }


def patches_on(
    loaded: LoadedModel, before: PreTrainedModel | None
) -> tuple[list[Layer], list[Patch], dict[str, str]]:
    """The layers of a model, its patches, and reason by analysis for which there are none.

    Args:
        loaded, before: as for `layers_of`.
    """
    try:
        layers, single = layers_of(loaded, before)
    except NotApplicableError as error:
        log.warning("patching is not applicable: %s", error)
        return [], [], {PATCHING: str(error)}
    missing = {}
    if not single:
        missing[ONE_PATCHED] = f"{type(loaded.model).__name__}: its layers share their weights"
        log.warning("no layer is patched alone: %s", missing[ONE_PATCHED])
    return layers, patches_of(len(layers) - 1, single), missing
