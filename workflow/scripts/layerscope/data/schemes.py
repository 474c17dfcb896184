"""Tags in other schemes (IOB1, IOBES, BILOU) made IOB2."""

from __future__ import annotations

from collections.abc import Sequence

#: Prefixes for the last and the only word of an entity, and what they are in IOB2.
_ENDS = {"E": "I", "L": "I", "S": "B", "U": "B"}


def to_iob2(tags: Sequence[str]) -> tuple[list[str], int, int]:
    """Turn the tags of a sentence into IOB2.

    An entity ends with its `E-`, `L-`, `S-` or `U-`: what goes on after it begins another one.

    Args:
        tags: `O`, or a prefix of one of these schemes and a type, as in `B-DNA`.

    Returns:
        The tags, how many had a prefix of IOBES or BILOU, and how many continued nothing and were
        made `B-`.
    """
    made: list[str] = []
    mapped = repaired = 0
    open_type = None  # of the entity that the next word may continue
    for tag in tags:
        prefix, _, kind = tag.partition("-")
        mapped += prefix in _ENDS
        becomes = _ENDS.get(prefix, prefix)
        if becomes == "I" and kind != open_type:
            becomes = "B"
            repaired += 1
        made.append(f"{becomes}-{kind}" if kind else tag)
        open_type = None if prefix in _ENDS or tag == "O" else kind
    return made, mapped, repaired
