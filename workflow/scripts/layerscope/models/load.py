"""Load models from folders: safetensors alone, no hub, no remote code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)
from transformers.activations import NewGELUActivation
from transformers.utils import logging as transformers_logging

from layerscope.core.errors import UserError
from layerscope.models.checks import (
    loading,
    require_dtype,
    require_float_weights,
    require_layers,
    require_whole_body,
)
from layerscope.models.convolutions import mask_convolutions
from layerscope.models.families import (
    READS,
    body_class,
    classifier_class,
    is_ours,
    prepared,
    require_language_model,
    token_read,
)
from layerscope.models.memory import is_out_of_memory
from layerscope.models.tokenizers import require_embeddings, require_mask, require_padding
from layerscope.models.unset import set_rest, unset_as_nan

transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
# On Hopper torch 2.11 prefers cuDNN's attention, which takes up to a second to plan for each shape
# of a batch that it has not seen yet; batches here nearly all have a shape of their own.
torch.backends.cuda.enable_cudnn_sdp(False)

log = logging.getLogger(__name__)

_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
_WEIGHTS: dict[str, Any] = {**_LOCAL, "use_safetensors": True}


def uses_bfloat16(precision: str) -> bool:
    """Whether a pass is to run in bfloat16 mixed precision on this machine.

    Args:
        precision: "float32", "bfloat16" or "auto" (bfloat16 where the device has instructions for
            it; elsewhere it is emulated and slower than float32).
    """
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def load_model(
    folder: str | Path, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """The model without a head, in evaluation mode, its weights in a type of one's choice.

    Raises:
        UserError: the folder holds no such model.
    """
    return _load(body_class, folder, tokenizer, dtype=dtype)[0]


def random_model(
    folder: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """The architecture of a model with freshly initialised weights: the control."""
    set_seed(seed)
    config = _read_config(folder)
    with loading(folder, "model"):
        config = prepared(config)
        model = body_class(config)._from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    require_embeddings(model, tokenizer, folder)
    model.config.pad_token_id = tokenizer.pad_token_id
    fuse_activations(model)
    mask_convolutions(model)
    return model.eval()


def load_with_head(
    folder: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    kind: str,
    labels: Sequence[str],
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """A fine-tuned model with its classification head: of the sequence, or of tokens (ner).

    A head that the folder does not hold is initialised from torch's global generator.

    Raises:
        UserError: the folder holds no such model.
    """
    return _load(partial(classifier_class, kind=kind), folder, tokenizer, labels, dtype=dtype)[0]


def load_with_fresh_head(
    folder: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    kind: str,
    labels: Sequence[str],
    dtype: torch.dtype = torch.float32,
) -> tuple[PreTrainedModel, list[str]]:
    """The model with a new classification head, initialised from torch's global generator.

    Returns:
        The model, and the parameters of a head in the folder, fine-tuned before on whatever task,
        that the new one replaces; mostly none.

    Raises:
        UserError: the folder holds no such model.
    """
    chosen = partial(classifier_class, kind=kind)
    options: dict[str, Any] = {"dtype": dtype, "ignore_mismatched_sizes": True}
    model, report = _load(chosen, folder, tokenizer, labels, **options)
    body = f"{model.base_model_prefix}."
    new = set(report["missing_keys"])
    other = {name for name, *_ in report["mismatched_keys"]}
    if wrong := sorted(name for name in other if name.startswith(body)):
        raise UserError(
            f"{folder}: its weights have other shapes than its configuration: {wrong[0]}"
        )
    held = {name for name, _ in model.named_parameters() if not name.startswith(body)} - new
    if held - other:
        _initialise_anew(model, held - other)
    return model, sorted(held | other)


def _initialise_anew(model: PreTrainedModel, parameters: Collection[str]) -> None:
    """As transformers initialises what is missing, which marks what it has loaded."""
    for owner in {name.rpartition(".")[0] for name in parameters}:
        module = model.get_submodule(owner)
        marked: Any
        for marked in (module, *module.parameters(recurse=False)):
            marked._is_hf_initialized = False
        model._init_weights(module)  # type: ignore[no-untyped-call]


def load_language_model(
    folder: str | Path, tokenizer: PreTrainedTokenizerBase, architecture: str
) -> PreTrainedModel:
    """The model with a language-modelling head: masked for an encoder, causal for a decoder.

    A head that the folder does not hold is initialised from torch's global generator.

    Raises:
        UserError: the folder holds no such model.
    """
    require_language_model(_read_config(folder), architecture, folder)
    auto = AutoModelForMaskedLM if architecture == "encoder" else AutoModelForCausalLM
    model = _load(lambda _: auto, folder, tokenizer, dtype=torch.float32)[0]
    if architecture == "encoder":
        require_mask(model, tokenizer, folder)
    return model


def fuse_activations(model: PreTrainedModel) -> PreTrainedModel:
    """Give a model the fused kernel of the GELU of GPT-2, equal to rounding.

    transformers computes it in eight passes over four times the width, which is a tenth of the time
    of a forward pass on a processor. The configuration of the model stays as it is.

    Returns:
        The same model.
    """
    module: nn.Module
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, nn.GELU(approximate="tanh"))
    return model


def _load(
    chosen: Callable[[PreTrainedConfig], Any],
    folder: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str] = (),
    **options: Any,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model, and what transformers says of loading it.

    Args:
        chosen: gives the class to load, by the configuration.
        folder, tokenizer: the model's.
        labels: of a head.
        options: further arguments of `from_pretrained`.
    """
    config = prepared(_read_config(folder))
    require_dtype(config, options["dtype"], folder)
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {name: index for index, name in enumerate(labels)}
    try:
        with loading(folder, "model"):
            kind = chosen(config)
            if labels and is_ours(kind):
                setattr(config, READS, token_read(config, tokenizer))
            with unset_as_nan():
                model, report = kind.from_pretrained(
                    folder, config=config, **_WEIGHTS, **options, output_loading_info=True
                )
            set_rest(model, report["missing_keys"])
    except RuntimeError as error:  # the library's own message names nothing
        if is_out_of_memory(error):
            raise
        given = f" with {len(labels)} labels" if labels else ""
        raise UserError(
            f"{folder}: its weights have other shapes than its configuration{given}"
        ) from None
    # What is missing would be random: right for a new head or pooler, never for what is below.
    missing = sorted(name for name in report["missing_keys"] if _is_body(model, name))
    if missing:
        raise UserError(f"{folder}: its weights lack {missing[0]}; allowed: all of the model's")
    require_whole_body(model, report["unexpected_keys"], folder)
    require_embeddings(model, tokenizer, folder)
    model.config.pad_token_id = tokenizer.pad_token_id
    fuse_activations(model)
    mask_convolutions(model)
    return model.eval(), report


def _read_config(folder: str | Path) -> PreTrainedConfig:
    """A model's configuration, checked.

    Raises:
        UserError: the folder has none, or one of a model that cannot be studied.
    """
    _require_folder(folder)
    require_float_weights(folder)
    with loading(folder, "model"):
        config = AutoConfig.from_pretrained(folder, **_LOCAL)
    require_layers(config, folder)
    require_padding(config, folder)
    return config


def _is_body(model: PreTrainedModel, parameter: str) -> bool:
    body = model.base_model is model or parameter.startswith(f"{model.base_model_prefix}.")
    return body and "pooler" not in parameter


def _require_folder(folder: str | Path) -> None:
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; allowed: a folder with a model")


def position_limit(model: PreTrainedModel, wanted: int) -> int:
    """The most sub-words in one pass: `wanted`, or the model's own limit if that is smaller.

    Models of RoBERTa's kind number positions from after the padding's, so that of 514 they use 512.
    """
    own = getattr(model.config, "max_position_embeddings", None)
    if not own or own < 1:  # none, or -1 of XLNet
        return wanted
    embeddings: Any = getattr(model.base_model, "embeddings", None)
    skipped = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    limit = own - (0 if skipped is None else skipped + 1)
    if limit < wanted:
        _say_limit(type(model).__name__, limit, wanted)
    return min(wanted, int(limit))


@cache
def _say_limit(name: str, limit: int, wanted: int) -> None:
    """Say once in the log that a model reads less than is asked for."""
    log.warning("%s reads %d sub-words at once, fewer than a max_length of %d", name, limit, wanted)
