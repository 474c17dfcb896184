"""Where the blocks and heads of a model are, found by the names that transformers gives them."""

from __future__ import annotations

import copy

from torch import nn
from transformers import PreTrainedModel

from layerscope.core.errors import NotApplicableError
from layerscope.core.layer_types import count_without_attention, in_words

#: Where a block projects what its heads give, side by side, back to the width of the model: as BERT
#: and its kin, GPT-2, BioGPT and BART, Llama, DistilBERT, ModernBERT, GPT-NeoX, ALBERT, BLOOM and
#: Falcon, Phi, GPT-Neo, MPNet and T5, GPT-J and MPT, LED, and CTRL name it.
PROJECTIONS = (
    "attention.output.dense", "attn.c_proj", "self_attn.out_proj", "self_attn.o_proj",
    "attention.out_lin", "attn.Wo", "attention.dense", "albert_layers.0.attention.dense",
    "self_attention.dense", "self_attn.dense", "attn.attention.out_proj", "attention.attn.o",
    "layer.0.SelfAttention.o", "attn.out_proj", "self_attn.output", "multi_head_attention.dense",
)  # fmt: skip

#: XLNet's projection is a product in this module's `post_attention`, and its states are tokens x
#: batch x width.
XLNET_ATTENTION = "rel_attn"


#: Model types whose blocks transformers calls without their hooks, with states of width x tokens.
_WITHOUT_HOOKS = frozenset({"squeezebert"})


def blocks(model: PreTrainedModel) -> list[nn.Module]:
    """The blocks of a model, from the first to the last.

    Raises:
        NotApplicableError: none are found.
    """
    if model.config.model_type in _WITHOUT_HOOKS:
        raise unknown(model, "blocks")
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == model.config.num_hidden_layers:
            return list(module)
    raise unknown(model, "blocks")


def require_attention(model: PreTrainedModel) -> None:
    """Stop where not every block of a model has attention, or one has it several times.

    Raises:
        NotApplicableError: it is so.
    """
    kinds = getattr(model.config, "layer_types", None) or []
    why = ""
    if without := count_without_attention(kinds):
        why = in_words(without, len(kinds))
    elif (inner := getattr(model.config, "inner_group_num", 1)) > 1:  # of ALBERT
        why = f"each of its layers has {inner} layers of attention"
    if why:
        raise NotApplicableError(f"{type(model).__name__}: {why}")


def head_projections(model: PreTrainedModel) -> list[nn.Module]:
    """Of each block what projects the outputs of its heads, which come in side by side.

    Raises:
        NotApplicableError: a block's is not found.
    """
    require_attention(model)
    return [_projection(model, block) for block in blocks(model)]


def _projection(model: PreTrainedModel, block: nn.Module) -> nn.Module:
    for name in (*PROJECTIONS, XLNET_ATTENTION):
        try:
            return block.get_submodule(name)
        except AttributeError:
            continue
    raise unknown(model, "attention heads")


def head_count(model: PreTrainedModel) -> int:
    """Heads of each layer that have attention maps.

    Raises:
        NotApplicableError: the model has none.
    """
    count = getattr(model.config, "num_attention_heads", None)
    if not isinstance(count, int):
        raise unknown(model, "attention heads")
    if is_half_convolution(model):  # which leaves some heads out
        attention = head_projections(model)[0], blocks(model)[0].get_submodule("attention.self")
        return int(attention[1].num_attention_heads)  # type: ignore[arg-type]
    return count


def key_value_heads(model: PreTrainedModel) -> list[int]:
    """Of each head of a layer the key-value head that it reads, which others may share.

    Raises:
        NotApplicableError: the model has no heads.
    """
    heads = head_count(model)
    shared = (getattr(model.config, name, None) for name in ("num_key_value_heads", "num_kv_heads"))
    count = next((each for each in shared if each), heads)
    return [head * count // heads for head in range(heads)]


def is_half_convolution(model: PreTrainedModel) -> bool:
    """Whether as many outputs of a convolution follow those of the heads, as in ConvBERT."""
    return bool(model.config.model_type == "convbert")


def tokens_first(model: PreTrainedModel) -> bool:
    """Whether the states of blocks are tokens x batch x width, as in XLNet."""
    return bool(model.config.model_type == "xlnet")


def length_multiple(model: PreTrainedModel) -> int:
    """What a model pads its inputs to a multiple of, inside, if they are not (Longformer)."""
    windows = getattr(model.config, "attention_window", 1)
    return int(max(windows) if isinstance(windows, list) else windows)


def unshare_blocks(model: PreTrainedModel) -> None:
    """Give each layer a block of its own where layers share one (ALBERT), with the same parameters.

    So that a layer can be told from the others. The model is no longer fit to be saved.
    """
    groups = getattr(model.base_model, "encoder", None)
    groups = getattr(groups, "albert_layer_groups", None)
    layers = model.config.num_hidden_layers
    if groups is None or len(groups) == layers:
        return
    per_group = layers / len(groups)
    alike = {id(each): each for each in (*groups.parameters(), model.config)}
    model.base_model.encoder.albert_layer_groups = nn.ModuleList(  # type: ignore[union-attr]
        copy.deepcopy(groups[int(layer / per_group)], dict(alike)) for layer in range(layers)
    )
    model.config.num_hidden_groups = layers


def unknown(model: PreTrainedModel, what: str) -> NotApplicableError:
    """The error that a part of a model is not found."""
    return NotApplicableError(f"{type(model).__name__}: its {what} are not found")
