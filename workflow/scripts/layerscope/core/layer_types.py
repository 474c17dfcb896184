"""Which layers of a model have no attention, by what its configuration calls them."""

from __future__ import annotations

from collections.abc import Iterable

#: State-space and recurrent layers, convolutions, and feed-forward layers that stand alone, as
#: transformers and older configurations name them.
_OTHER_KINDS = frozenset({"linear_attention", "mamba", "recurrent", "conv", "moe", "mlp"})


def count_without_attention(kinds: Iterable[str]) -> int:
    """How many layers have no attention, by the kind of each.

    >>> count_without_attention(["linear_attention", "full_attention", "hybrid"])
    1
    """
    return sum(kind in _OTHER_KINDS for kind in kinds)


def in_words(without: int, layers: int) -> str:
    """Why a model has no attention maps of all layers.

    >>> in_words(28, 32)
    '28 of its 32 layers have no attention'
    """
    if without == layers:
        return "none of its layers has attention"
    return f"{without} of its {layers} layers {'has' if without == 1 else 'have'} no attention"
