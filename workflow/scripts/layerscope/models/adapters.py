"""Adapters: low-rank matrices that are fine-tuned in place of a model's own weights (LoRA).

Hu et al. (2022), "LoRA: Low-Rank Adaptation of Large Language Models": to what a linear layer gives
for `x`, `scale * up @ down @ x` is added. They are trained, and stored, by the package peft; here
they are put beside the weights of a loaded model again, whose modules stay what they are. They are
not added to the weights: in bfloat16, most of what was learned would be lost to rounding.

A folder with an adapter holds `adapter_model.safetensors` (low-rank matrices, head and pooler) and
`adapter_config.json`, as peft writes them, and `base.json` with the digest of the base's folder.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from layerscope.config.weights import Lora
from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object, write_json
from layerscope.models.tensors import read_tensors
from layerscope.run_records.content import cached_sha256

CONFIG, BASE = "adapter_config.json", "base.json"
#: Of state-space layers, whose fused kernels read its weight past the layer.
_MAMBA_OUTPUT = re.compile(r"(?:^|\.)(?:mixer|mamba)\.out_proj$")
_PREFIX, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"

log = logging.getLogger(__name__)


def is_adapter(folder: str | Path) -> bool:
    """Whether a folder holds an adapter, and not a model."""
    return Path(folder, BASE).is_file()


def head_modules(model: PreTrainedModel) -> list[str]:
    """What of a model is trained as a whole beside an adapter: its head, and a pooler."""
    if model.base_model is model:
        return [name for name, _ in model.named_children() if name == "pooler"]
    body = model.base_model_prefix
    heads = [
        name
        for name, child in model.named_children()
        if name != body and next(child.parameters(), None) is not None
    ]
    poolers = [
        f"{body}.{name}" for name, _ in model.base_model.named_children() if name == "pooler"
    ]
    return [*heads, *poolers]


def target_modules(model: PreTrainedModel, targets: str | Sequence[str]) -> list[str]:
    """The linear layers of a model's body that get low-rank matrices.

    Args:
        model: with its head.
        targets: "all-linear", or names as they end: "q_proj" is that of every block.

    Raises:
        UserError: a name that no linear layer of the body has, or the body has none.
    """
    head = tuple(f"{name}." for name in head_modules(model))
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and not f"{name}.".startswith(head)
    ]
    if isinstance(targets, str):
        chosen = [name for name in linear if not _MAMBA_OUTPUT.search(name)]
        if not chosen:
            raise UserError(
                f"adapter: {type(model).__name__} has no linear layers that could have matrices; "
                "allowed: fine-tuning the whole model"
            )
        return chosen
    ends = {target: [n for n in linear if f".{n}".endswith(f".{target}")] for target in targets}
    if unknown := [target for target, found in ends.items() if not found]:
        known = dict.fromkeys(name.rpartition(".")[2] for name in linear)
        raise UserError(
            f"adapter.targets: {unknown[0]!r} is no linear layer of {type(model).__name__}; "
            f"allowed: 'all-linear', or names as they end: {', '.join(known)}"
        )
    return [name for name in linear if any(name in found for found in ends.values())]


def unchanged_matrices(model: PreTrainedModel, targets: Collection[str]) -> list[str]:
    """Matrices of a model's body that an adapter does not change, by the ends of their names.

    Embeddings are none of them. Those of experts and of XLNet's attention are parameters and no
    linear layers.

    Args:
        model: with its head.
        targets: modules that have low-rank matrices.
    """
    beside = tuple(f"{name}." for name in head_modules(model))
    found: dict[str, None] = {}
    for name, module in model.named_modules():
        left = name not in targets and not isinstance(module, nn.Embedding)
        if not left or f"{name}.".startswith(beside) or "embed" in name:
            continue
        for own, parameter in module.named_parameters(recurse=False):
            if parameter.ndim > 1 and not own.endswith("bias"):
                parts = [*name.split("."), own] if own != "weight" else name.split(".")
                found[".".join(parts[-2:])] = None
    return list(found)


@contextmanager
def _names_taken_literally(model: PreTrainedModel) -> Iterator[None]:
    """While it lasts, peft does not know the type of a model.

    Of types with experts, it would take names of linear layers for those of the experts, which were
    linear layers in earlier versions of transformers.
    """
    config: Any = model.config
    config.model_type = ""  # of this object; the class keeps its own
    try:
        yield
    finally:
        del config.model_type


def add_adapter(model: PreTrainedModel, settings: Lora) -> Any:
    """Put a new adapter beside a model's weights, which are frozen; its head stays trainable.

    The new matrices are drawn from torch's global generator. What is trained is in float32,
    whatever the model is loaded in.

    Returns:
        peft's model, of which `model` is now a part.

    Raises:
        UserError: a target that the model does not have.
    """
    from peft import LoraConfig, get_peft_model  # takes seconds

    targets = target_modules(model, settings.targets)
    if settings.targets == "all-linear" and (rest := unchanged_matrices(model, targets)):
        log.info("matrices that the adapter does not change: %s", ", ".join(rest))
    # With a name, peft would write it, and look for it on a hub at each checkpoint.
    model.name_or_path = ""
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=targets,
        modules_to_save=head_modules(model),
        fan_in_fan_out=any(isinstance(model.get_submodule(n), Conv1D) for n in targets),
    )
    try:
        with _names_taken_literally(model):
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise UserError(f"adapter.targets: {' '.join(str(error).split())}") from None
    own: Any = adapted.peft_config["default"]
    for name in ("target_modules", "modules_to_save"):  # sets, which would be written in any order
        setattr(own, name, sorted(getattr(own, name)))
    for module in adapted.modules():
        trained = [each for each in module.parameters(recurse=False) if each.requires_grad]
        for parameter in trained:
            parameter.data = parameter.data.float()
        if trained:
            _read_in_float32(module)
    return adapted


def save_adapter(adapted: Any, base: str | Path, out: Path) -> None:
    """Write an adapter, the head and which base they belong to."""
    adapted.save_pretrained(out, save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)
    write_json(out / BASE, {"sha256": cached_sha256(base)})


def require_base(folder: str | Path, base: str | Path | None) -> Path:
    """The base of an adapter, checked.

    Raises:
        UserError: none is given, or the adapter was trained on another one.
    """
    wanted = read_json_object(Path(folder, BASE)).get("sha256")
    if base is None:
        raise UserError(f"{folder}: holds an adapter alone; allowed: together with its base")
    if (found := cached_sha256(base)) != wanted:
        raise UserError(
            f"{folder}: an adapter for the base with sha256 {wanted}, but {base} has {found}; "
            "allowed: the base that it was trained on"
        )
    return Path(base)


class LowRank(nn.Module):
    """What an adapter adds to what a linear layer gives."""

    def __init__(self, down: torch.Tensor, up: torch.Tensor, scale: float) -> None:
        super().__init__()
        self.down = nn.Parameter(down, requires_grad=False)
        self.up = nn.Parameter(up, requires_grad=False)
        self.scale = scale

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        narrow = nn.functional.linear(inputs.to(self.down.dtype), self.down)
        return nn.functional.linear(narrow, self.up) * self.scale


def apply_adapter(model: PreTrainedModel, folder: str | Path) -> PreTrainedModel:
    """Put an adapter beside the weights of its base, and its head on it if the model has one.

    Args:
        model: the base, with a head of the adapter's kind and labels, or without one.
        folder: the adapter's.

    Returns:
        The same model.

    Raises:
        UserError: the folder's adapter has other matrices than the model.
    """
    scale = _scale(Path(folder))
    tensors = {name.removeprefix(_PREFIX): tensor for name, tensor in read_tensors(folder).items()}
    if model.base_model is model:  # names are those of the model with its head
        body = f"{model.base_model_prefix}."
        tensors = {n.removeprefix(body): t for n, t in tensors.items() if n.startswith(body)}
    try:
        if model.base_model is not model:
            _require_head(model, tensors)
        for name, tensor in tensors.items():
            if name.endswith(_DOWN):
                place = name.removesuffix(_DOWN)
                module: Any = model.get_submodule(place)
                up, where = tensors[f"{place}{_UP}"], module.weight.device
                module.adapter = LowRank(tensor, up, scale).to(where)
                module.register_forward_hook(_add)
            elif not name.endswith(_UP):
                place, _, own = name.rpartition(".")
                module = model.get_submodule(place)
                replaced = getattr(module, own)
                if replaced.shape != tensor.shape:
                    raise KeyError(name)
                tensor = tensor.to(replaced.device)
                setattr(module, own, nn.Parameter(tensor, requires_grad=False))
                _read_in_float32(module)
    except (AttributeError, KeyError) as error:
        raise UserError(
            f"{folder}: an adapter with other matrices than its base ({error}); "
            "allowed: one that was fine-tuned here"
        ) from None
    return model


def _require_head(model: PreTrainedModel, tensors: Mapping[str, torch.Tensor]) -> None:
    for head in head_modules(model):
        for name, _ in model.get_submodule(head).named_parameters(prefix=head):
            if name not in tensors:
                raise KeyError(name)


def _scale(folder: Path) -> float:
    config = read_json_object(folder / CONFIG)
    return float(config["lora_alpha"]) / float(config["r"])


def _add(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return (output + module.adapter(inputs[0])).to(output.dtype)  # rounded once, as by peft


def _read_in_float32(module: nn.Module) -> None:
    """Let a module with float32 weights read what a body in bfloat16 gives."""
    module.register_forward_pre_hook(
        lambda _, inputs: tuple(
            each.float() if isinstance(each, torch.Tensor) and each.is_floating_point() else each
            for each in inputs
        )
    )
