"""Tags with ends of entities (IOBES, BILOU) without them."""

from __future__ import annotations

from collections.abc import Sequence

#: Prefixes of the last and of the only word of an entity, and what they are without ends.
_ENDS = {"E": "I", "L": "I", "S": "B", "U": "B"}


def without_ends(tags: Sequence[str]) -> tuple[list[str], int]:
    """Turn IOBES and BILOU into B, I and O; tags of IOB1 and IOB2 stay as they are.

    Where an entity has ended, an `I-`, `E-` or `L-` of the same type begins another one.

    Args:
        tags: of a sentence: `O`, or a prefix of one of these schemes and a type, as in `B-DNA`.

    Returns:
        The tags, and how many were changed.
    """
    made: list[str] = []
    ended = ""  # type of the entity that has ended with the word before
    for tag in tags:
        prefix, _, kind = tag.partition("-")
        plain = _ENDS.get(prefix, prefix)
        if plain == "I" and kind == ended:
            plain = "B"
        made.append(f"{plain}-{kind}" if kind else tag)
        ended = kind if prefix in _ENDS else ""
    return made, sum(before != after for before, after in zip(tags, made, strict=True))
