"""Schemes of tags that mark ends of entities (IOBES, BILOU, BMES), and tags without those marks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

#: Prefixes of the last and of the only word of an entity, and what they are without ends.
_ENDS = {"E": "I", "L": "I", "S": "B", "U": "B"}
#: All prefixes of words inside or at an end, and what they are in IOB.
_PLAIN = {**_ENDS, "M": "I"}


def scheme_of(prefixes: Collection[str]) -> str:
    """The name of a scheme by the prefixes that occur in it, such as `B` and `I`."""
    if "M" in prefixes:
        return "BMES"
    if {"L", "U"} & set(prefixes):
        return "BILOU"
    return "IOBES" if {"E", "S"} & set(prefixes) else "IOB"


def without_ends(tags: Sequence[str]) -> tuple[list[str], int]:
    """Turn IOBES, BILOU and BMES into B, I and O; tags of IOB1 and IOB2 stay as they are.

    Where an entity has ended, an `I-`, `E-`, `L-` or `M-` of the same type begins another one.

    Args:
        tags: of a sentence: `O`, or a prefix of one of these schemes and a type, as in `B-DNA`.

    Returns:
        The tags, and how many were changed.
    """
    made: list[str] = []
    ended = ""  # type of the entity that has ended with the word before
    for tag in tags:
        prefix, _, kind = tag.partition("-")
        plain = _PLAIN.get(prefix, prefix)
        if plain == "I" and kind == ended:
            plain = "B"
        made.append(f"{plain}-{kind}" if kind else tag)
        ended = kind if prefix in _ENDS else ""
    return made, sum(before != after for before, after in zip(tags, made, strict=True))
