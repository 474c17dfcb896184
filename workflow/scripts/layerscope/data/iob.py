"""Tags in the IOB2 scheme: `B-x` begins an entity of type x, `I-x` continues it, `O` is none.

Merged tags (Bonfigli et al. 2024) are the types alone: `O`, and `x` for both `B-x` and `I-x`. Where
one entity ends and the next of its type begins right after it is lost in them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa

from layerscope.core.errors import UserError


def _split(tag: str) -> tuple[str, str]:
    prefix, _, kind = tag.partition("-")
    return prefix, kind


def _continues(tag: str, before: str) -> bool:
    """Whether `tag` goes on with the entity of the tag before it."""
    prefix, kind = _split(tag)
    return prefix == "I" and _split(before) in (("B", kind), ("I", kind))


def repair_iob2(tags: Sequence[str]) -> tuple[list[str], int]:
    """Turn each `I-x` that continues nothing into `B-x`, as seqeval and CoNLL's script read it.

    Returns:
        The tags, and how many were changed.
    """
    repaired: list[str] = []
    changed = 0
    for tag in tags:
        if tag.startswith("I-") and not _continues(tag, repaired[-1] if repaired else "O"):
            tag = f"B-{tag[2:]}"
            changed += 1
        repaired.append(tag)
    return repaired, changed


def validate(tags: Sequence[str], labels: Collection[str], where: str) -> None:
    """Check that tags are known labels and well-formed IOB2.

    Args:
        tags: of one sentence.
        labels: the allowed tags.
        where: what an error is to name, such as the example.

    Raises:
        UserError: an unknown tag, or an `I-` that continues nothing.
    """
    before = "O"
    for index, tag in enumerate(tags):
        if tag not in labels:
            raise UserError(f"{where}: tag {tag!r} at {index}; allowed: {', '.join(labels)}")
        if tag.startswith("I-") and not _continues(tag, before):
            raise UserError(
                f"{where}: tag {tag!r} at {index} after {before!r}; allowed: after B- or I- "
                "of its own type"
            )
        before = tag


def spans(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Entities as (first word, word after the last, type), in order.

    An `I-` that continues nothing begins an entity.
    """
    found: list[tuple[int, int, str]] = []
    before = "O"
    for index, tag in enumerate(tags):
        if tag != "O":
            kind = _split(tag)[1]
            if _continues(tag, before):
                found[-1] = (found[-1][0], index + 1, kind)
            else:
                found.append((index, index + 1, kind))
        before = tag
    return found


def entity_labels(types: Sequence[str]) -> list[str]:
    """All IOB2 tags of entity types: `O`, then `B-` and `I-` of each type in its order."""
    return ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]


def merge(tags: Sequence[str]) -> list[str]:
    """The type of each IOB2 tag: `B-DNA` and `I-DNA` to `DNA`; `O` stays."""
    return [_split(tag)[1] or tag for tag in tags]


def unmerge(types: Sequence[str], sentences: Sequence[str]) -> list[str]:
    """IOB2 tags of merged ones: in a sentence, a run of one type is one entity.

    So it gives back what was merged, unless two entities of one type touched: these become one.

    Args:
        types: merged tags of consecutive words.
        sentences: the sentence of each word; words of a sentence are consecutive.
    """
    tags: list[str] = []
    before: tuple[str, str] | None = None
    for kind, sentence in zip(types, sentences, strict=True):
        prefix = "I" if (kind, sentence) == before else "B"
        tags.append(kind if kind == "O" else f"{prefix}-{kind}")
        before = kind, sentence
    return tags


def merged_labels(labels: Sequence[str]) -> list[str]:
    """The merged tags of IOB2 tag names, each once: `O` and the types, in their order.

    Raises:
        UserError: the names are not `O` and both `B-` and `I-` of each type, so that a merged tag
            could not be turned back.
    """
    merged = list(dict.fromkeys(merge(labels)))
    wanted = entity_labels([kind for kind in merged if kind != "O"])
    if sorted(wanted) != sorted(labels):
        raise UserError(
            f"tags {', '.join(labels)}; allowed where they are merged: {', '.join(wanted)}"
        )
    return merged


def merge_table(table: pa.Table) -> pa.Table:
    """A prepared table of kind `ner` with merged tags."""
    place = table.schema.get_field_index("tags")
    merged = [merge(tags) for tags in table.column("tags").to_pylist()]
    return table.set_column(place, "tags", pa.array(merged, type=table.schema.field(place).type))
