"""Whether a model has attention maps, as far as its `config.json` says so before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layerscope.core.layer_types import count_without_attention, in_words

#: Model types of state-space and recurrent layers alone.
WITHOUT_HEADS = frozenset({"mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm"})
#: Model types of which transformers gives no maps of tokens by tokens.
_WITHOUT_MAPS = frozenset({"longt5", "squeezebert"})


def why_no_maps(config: Mapping[str, Any], layers: int) -> str:
    """Why a model has no attention maps; empty if nothing is said against them.

    Args:
        config: as in `config.json`, whose entries may be anything.
        layers: of the model.
    """
    kind = str(config.get("model_type"))
    if without := _count_without(config, kind, layers):
        return in_words(without, layers)
    inner = config.get("inner_group_num")
    if kind == "albert" and isinstance(inner, int) and inner > 1:
        return f"each of its layers has {inner} layers of attention"
    if kind in _WITHOUT_MAPS or (kind == "falcon" and config.get("alibi") is True):
        return "transformers gives no maps of it"
    return ""


def _count_without(config: Mapping[str, Any], kind: str, layers: int) -> int:
    """Layers without attention: by their kinds, their places, or how often it has a layer."""
    if kind in WITHOUT_HEADS:
        return layers
    for name in ("layer_types", "layers_block_type"):
        if isinstance(kinds := config.get(name), list):
            return count_without_attention(map(str, kinds))
    if isinstance(pattern := config.get("hybrid_override_pattern"), str):  # of Nemotron-H
        return len(pattern) - pattern.count("*")
    kinds = config.get("block_types", config.get("_block_types"))  # repeated, RecurrentGemma's
    if isinstance(kinds, list) and kinds:
        return count_without_attention(str(kinds[at % len(kinds)]) for at in range(layers))
    for name in ("attn_layer_indices", "full_attn_idxs"):
        if isinstance(places := config.get(name), list):
            return layers - len(places)
    period, offset = config.get("attn_layer_period"), config.get("attn_layer_offset")
    if isinstance(period, int) and isinstance(offset, int) and period > 0:
        return sum(layer % period != offset for layer in range(layers))
    every = config.get("full_attention_interval")
    return layers - layers // every if isinstance(every, int) and every > 0 else 0
