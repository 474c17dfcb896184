"""Seeded choices of whole groups, stratified: limits, nested samples and capped samples.

All rest on one seeded order of the groups in which every beginning is stratified.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from layerscope.core.errors import UserError
from layerscope.core.kinds import labels_examples
from layerscope.core.wording import counted
from layerscope.data.iob import spans
from layerscope.data.rng import seeded


def entity_stratum(tags: Sequence[str]) -> str:
    """Stratum of a sentence: its most frequent entity type, the first in the alphabet if tied."""
    counts = Counter(kind for _, _, kind in spans(tags))
    return min(counts, key=lambda kind: (-counts[kind], kind), default="O")


def strata(kind: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Stratum of each row of a prepared table: its label, or `entity_stratum` (ner)."""
    if labels_examples(kind):
        return [row["label"] for row in rows]
    return [entity_stratum(row["tags"]) for row in rows]


def ordered_groups(
    group_ids: Sequence[str], strata: Sequence[str], purpose: str, seed: int
) -> list[list[int]]:
    """Groups, as row numbers, in a seeded order of which every beginning is stratified.

    A group's stratum is the set of its rows' strata. The groups of a stratum are shuffled and
    spread evenly over the order from a random start (systematic sampling), so that of a stratum of
    m groups the first share x of the order holds within one of x * m.
    """
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(group_ids):
        rows.setdefault(group, []).append(row)
    members: dict[tuple[str, ...], list[str]] = {}
    for group in sorted(rows):
        stratum = tuple(sorted({strata[row] for row in rows[group]}))
        members.setdefault(stratum, []).append(group)
    rng = seeded(purpose, seed)
    placed: list[tuple[float, str]] = []
    for _, groups in sorted(members.items()):
        rng.shuffle(groups)
        start = rng.random()
        placed += [((start + k) / len(groups), group) for k, group in enumerate(groups)]
    return [rows[group] for _, group in sorted(placed)]


def reserved_rows(
    rows: Sequence[dict[str, Any]], kind: str, percent: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Divide training rows: those that models may be fine-tuned on, and those that none is.

    Whole groups are reserved, stratified, the same ones whatever is drawn from either part.

    Args:
        rows: of the prepared training table.
        kind: of the task.
        percent: of the rows to reserve, 0 to 50.

    Returns:
        Both parts, in the order of the table.

    Raises:
        UserError: a group that is kept whole makes it far too much, or nothing is left.
    """
    ids = [row["example_id"] for row in rows]
    groups = [row["group_id"] for row in rows]
    kept = set(nested_sample(ids, groups, strata(kind, rows), percent, 0, purpose="reserved"))
    check_fraction(rows, len(kept), percent, f"reserved {percent} %")
    if len(kept) == len(rows):
        raise UserError(
            f"reserved {percent} %: takes the only example of the training data; allowed: "
            "training data of two or more, or nothing reserved"
        )
    return (
        [row for row in rows if row["example_id"] not in kept],
        [row for row in rows if row["example_id"] in kept],
    )


def check_fraction(rows: Sequence[Mapping[str, Any]], size: int, percent: int, name: str) -> None:
    """Check that a sample of whole groups has about the size that it is named for.

    It may be off by less than what is asked for and less than what would be left. Where no group
    has two examples the table itself is small, and the nearest size is taken.

    Args:
        rows: that the sample is drawn from.
        size: of the sample.
        percent: of the rows, from 0 to 100.
        name: of the sample, for the message.

    Raises:
        UserError: it has not.
    """
    counts = Counter(row["group_id"] for row in rows)
    group, largest = counts.most_common(1)[0]
    target = percent * len(rows) / 100
    off = abs(size - target)
    if percent in (0, 100) or largest == 1 or off < min(target, len(rows) - target):
        return
    first = next(row["example_id"] for row in rows if row["group_id"] == group)
    raise UserError(
        f"{name} of the training data: {size} of {len(rows)} examples, because groups are kept "
        f"whole and group '{group}' (that of example '{first}') has {largest}; "
        "allowed: data of smaller groups, such as by another column for group_id"
    )


def nested_sample(
    example_ids: Sequence[str],
    group_ids: Sequence[str],
    strata: Sequence[str],
    percent: int,
    seed: int,
    purpose: str = "sample",
) -> list[str]:
    """Choose about `percent` of the examples, nested within a seed, never cutting a group.

    The sample of a lower percentage is part of that of a higher one. Its size is as near to
    `percent` as a beginning of the order of groups allows: at most half a group off, but one group
    or more above 0 %.

    Args:
        example_ids: of the training table.
        group_ids: the group of each example.
        strata: of each example, as from `strata`.
        percent: from 0 to 100; 100 is every example.
        seed: of the order.
        purpose: of the sample; those of two purposes are independent.

    Returns:
        The ids of the sample, in the order of `example_ids`.
    """
    if percent == 0:
        return []
    target = percent * len(example_ids) / 100
    chosen: list[int] = []
    for group in ordered_groups(group_ids, strata, purpose, seed):
        short = target - len(chosen)
        if chosen and short < len(group) - short:
            break
        chosen += group
    return [example_ids[row] for row in sorted(chosen)]


def capped_sample(
    group_ids: Sequence[str],
    strata: Sequence[str],
    sizes: Sequence[int] | None,
    cap: int | None,
    seed: int,
) -> list[int]:
    """Choose whole groups whose sizes sum to at most `cap`, stratified.

    Args:
        group_ids: the group of each row; give example ids to choose single examples.
        strata: of each row, as from `strata`.
        sizes: of each row, such as its words; None counts rows.
        cap: the most; None chooses every row.
        seed: of the choice.

    Returns:
        Row numbers, ascending.
    """
    if cap is None:
        return list(range(len(group_ids)))
    chosen: list[int] = []
    left = cap
    for group in ordered_groups(group_ids, strata, "cap", seed):
        left -= sum(sizes[row] for row in group) if sizes is not None else len(group)
        if left < 0:
            break
        chosen += group
    return sorted(chosen)


def limited_rows(
    kind: str, rows: Sequence[Mapping[str, Any]], cap: int | None, seed: int, setting: str
) -> list[int]:
    """Numbers of at most `cap` rows of a prepared table, chosen as by `capped_sample`.

    Args:
        kind: of the task.
        rows: with `group_id`, and `label` or `tags` (ner).
        cap: the most; None for all.
        seed: of the choice.
        setting: that gives the cap, for the message.

    Raises:
        UserError: the first group has more.
    """
    groups = [row["group_id"] for row in rows]
    chosen = capped_sample(groups, strata(kind, rows), None, cap, seed)
    if cap is not None and rows and not chosen:
        raise _none_fits(f"{setting} {cap}", groups, strata(kind, rows), None, seed)
    return chosen


def limited(
    kind: str, rows: Sequence[dict[str, Any]], cap: int | None, seed: int, split: str
) -> list[dict[str, Any]]:
    """Rows of a prepared table, at most `cap`, as by `limited_rows`."""
    chosen = limited_rows(kind, rows, cap, seed, f"limit.{split}")
    return [rows[index] for index in chosen]


def probe_sample(
    kind: str,
    rows: Sequence[dict[str, Any]],
    cap: int | None,
    seed: int,
    setting: str = "probe_limit",
) -> list[str]:
    """Ids of the rows that probes learn from or are tested on: groups of texts or pairs, or
    sentences.

    Args:
        kind: of the task.
        rows: of the prepared table.
        cap: the most examples, or words (ner); None for all.
        seed: of the choice.
        setting: that gives the cap, for the message.

    Raises:
        UserError: the first group, or sentence, has more.
    """
    ids = [row["example_id"] for row in rows]
    whole = labels_examples(kind)
    groups = [row["group_id"] for row in rows] if whole else ids
    sizes = None if whole else [len(row["tokens"]) for row in rows]
    chosen = capped_sample(groups, strata(kind, rows), sizes, cap, seed)
    if not chosen:
        raise _none_fits(f"{setting} {cap}", groups, strata(kind, rows), sizes, seed)
    return [ids[row] for row in chosen]


def _none_fits(
    name: str, groups: Sequence[str], strata: Sequence[str], sizes: Sequence[int] | None, seed: int
) -> UserError:
    """What to say where `capped_sample` chose nothing."""
    first = ordered_groups(groups, strata, "cap", seed)[0]
    size = len(first) if sizes is None else sum(sizes[row] for row in first)
    if sizes is None:
        unit, length, other = "group", counted(size, "example"), "smaller groups (group_id)"
    else:
        unit, length, other = "example", counted(size, "word"), "shorter texts"
    return UserError(
        f"{name}: too small for the first {unit} drawn, '{groups[first[0]]}', which has {length} "
        f"and is kept whole; allowed: {size} or more, or {other}"
    )
