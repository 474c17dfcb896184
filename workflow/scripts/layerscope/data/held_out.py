"""Splits that a corpus does not come with, and texts that two splits share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from layerscope.core.errors import UserError
from layerscope.core.kinds import labels_examples
from layerscope.data.prepared import SPLITS, Row, text_keys
from layerscope.data.rows import Rows
from layerscope.data.sampling import check_fraction, ordered_groups, strata


def hold_out(kind: str, rows: Rows, percents: Mapping[str, int], seed: int) -> dict[str, Rows]:
    """Divide examples into training data and the splits that are held out of it.

    Whole groups are held out, stratified: test data first.

    Args:
        kind: of the task.
        rows: all examples.
        percents: of the examples, by split.
        seed: of the choice.

    Returns:
        Rows by split, in their order.

    Raises:
        UserError: a group that is kept whole makes a split far too large, or nothing is left.
    """
    groups = [row["group_id"] for row in rows.rows]
    waiting = ordered_groups(groups, _strata(kind, rows.rows), "held out", seed)[::-1]
    split_of = ["train"] * len(groups)
    for split in reversed(SPLITS):
        if split not in percents:
            continue
        size, wanted = 0, percents[split] * len(groups) / 100
        # As near to what is wanted as the order allows, but one group or more.
        while waiting and (size == 0 or 2 * (wanted - size) >= len(waiting[-1])):
            group = waiting.pop()
            size += len(group)
            for row in group:
                split_of[row] = split
        check_fraction(rows.rows, size, percents[split], f"held_out.{split} {percents[split]} %")
    found = {
        split: rows.part([row for row, own in enumerate(split_of) if own == split])
        for split in ("train", *percents)
    }
    for split, part in found.items():
        if not part.rows:
            raise UserError(
                f"held_out: nothing is left for {split}; allowed: more examples, or groups "
                "(group_id) that are smaller"
            )
    return found


def _strata(kind: str, rows: Sequence[Row]) -> list[str]:
    """A label, or the rarest entity type of a sentence, so that no type goes to one side by chance.

    Sechidis et al. 2011, On the Stratification of Multi-Label Data, divide rare labels first.
    """
    if labels_examples(kind):
        return strata(kind, rows)
    types = [sorted({tag[2:] for tag in row["tags"] if tag != "O"}) for row in rows]
    counts = Counter(name for own in types for name in own)
    return [min(own, key=lambda name: (counts[name], name), default="O") for own in types]


def without_overlap(kind: str, splits: Mapping[str, Rows], what: str) -> dict[str, Rows]:
    """Splits without what a later one has too: training data gives way, then validation data.

    Args:
        kind: of the task.
        splits: in the order of `SPLITS`.
        what: `examples`, whose texts are all the same by `text_key`, or `groups`.

    Returns:
        Rows by split.

    Raises:
        UserError: nothing is left of a split.
    """
    kept: dict[str, Rows] = {}
    seen: set[str] = set()
    for split in reversed(SPLITS):
        rows = splits[split]
        keys = _keys(kind, rows.rows, what)
        part = rows.part([row for row, key in enumerate(keys) if key not in seen])
        if not part.rows:
            raise UserError(
                f"drop_overlap {what}: later splits have all of {split}; allowed: other files, or "
                "null"
            )
        kept[split] = part
        seen.update(keys)
    return {split: kept[split] for split in SPLITS}


def _keys(kind: str, rows: Sequence[Row], what: str) -> list[str]:
    if what == "groups":
        return [row["group_id"] for row in rows]
    return ["\n".join(text_keys(kind, row).values()) for row in rows]
