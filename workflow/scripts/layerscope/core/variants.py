"""Names of a model's variants."""

from __future__ import annotations

import re

PRETRAINED = "pretrained"
#: Draws of random weights are `random-s{seed}`; this is their mean.
RANDOM = "random"
FINETUNED = r"f\d+-s\d+"

_VARIANT = re.compile(rf"{PRETRAINED}|(?:{RANDOM}|f(\d+))-s(\d+)")


def parse_variant(variant: str) -> tuple[int, int | None]:
    """Percent and seed of a variant; 0 for one that is not fine-tuned.

    Raises:
        ValueError: the name is none of a variant.
    """
    match = _VARIANT.fullmatch(variant)
    if match is None:
        raise ValueError(f"{variant!r} is not the name of a variant")
    percent, seed = match.groups()
    return int(percent or 0), None if seed is None else int(seed)


def is_finetuned(variant: str) -> bool:
    """Whether a variant is fine-tuned; a mean over seeds is none."""
    return re.fullmatch(FINETUNED, variant) is not None


def without_seed(variant: str) -> str:
    """The name of the mean over seeds that a variant is part of: `f30` of `f30-s1`."""
    return variant.partition("-s")[0]
