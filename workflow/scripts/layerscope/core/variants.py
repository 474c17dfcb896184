"""Names of a model's variants."""

from __future__ import annotations

import re

PRETRAINED = "pretrained"
RANDOM = "random"
UNTRAINED = (PRETRAINED, RANDOM)
FINETUNED = r"f\d+-s\d+"


def parse_variant(variant: str) -> tuple[int, int | None]:
    """Percent and seed of a variant; 0 and None for one that is not fine-tuned.

    Raises:
        ValueError: the name is none of a variant.
    """
    if variant in UNTRAINED:
        return 0, None
    match = re.fullmatch(r"f(\d+)-s(\d+)", variant)
    if match is None:
        raise ValueError(f"{variant!r} is not the name of a variant")
    return int(match[1]), int(match[2])
