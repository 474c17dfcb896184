"""How far each attention head has moved in fine-tuning, on a scale that can be read.

A divergence or a cosine says little by itself: what is much depends on how alike any two maps of a
model are. So the Jensen-Shannon divergence of a head's maps before and after is placed between two
others of the same model and examples:

- `ceiling`: between two seeds of the same fine-tuning (mean over the pairs of seeds there are);
  without a second seed 0, the divergence of a map from itself, takes its place.
- `null`: between a head before and another head of its layer after, mean over the layer's heads,
  since one head's depends on which head is its neighbour.

`moved` = (jsd - ceiling) / (null - ceiling), cut off at 0 and at 1: 0, the head differs from itself
before by no more than two fine-tunings do from each other; 1, by as much as heads of the layer do.
There is none where the null is not above the ceiling, as in a layer whose heads are all alike or
that has one head. Its interval is that of the divergence over examples, the scale being given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from layerscope.core.table_files import Sources, Table, read_task, tasks_of

Row = dict[str, Any]
#: One model's own properties, which the table has before and after.
PROPERTIES = ("entropy", "distance", "special", "first")
#: What is taken from the table of attention.
MEASURES = ("jsd", "jsd_ceiling", "jsd_null_head", "jsd_null_sentence", *PROPERTIES)
KEYS = ("task", "model", "variant", "percent", "seed")


class Place(NamedTuple):
    """A head of a model."""

    layer: int
    head: int


def relative_change(jsd: float | None, ceiling: float, null: float | None) -> float | None:
    """Place of a divergence on the scale from `ceiling` (0) to `null` (1), within it.

    None where there is no divergence, or no scale: no null, or one that is not above the ceiling.
    """
    if jsd is None or null is None or null <= ceiling:
        return None
    return min(max((jsd - ceiling) / (null - ceiling), 0.0), 1.0)


def ranks(values: Mapping[Place, float]) -> dict[Place, int]:
    """Rank of each head, 1 the largest; equal ones in the order of layers and heads."""
    order = sorted(values, key=lambda place: (-values[place], place))
    return {place: rank for rank, place in enumerate(order, start=1)}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def head_rows(rows: Sequence[Row]) -> list[Row]:
    """Rows of the table of heads, from one task's rows of the table of attention.

    Args:
        rows: of `MEASURES`; others are left out.

    Returns:
        A row a fine-tuned variant, layer and head, with keys of the format "heads-table".
    """
    variants: dict[tuple[Any, ...], dict[str, dict[Place, Row]]] = {}
    for row in rows:
        if row["measure"] in MEASURES:
            by_measure = variants.setdefault(tuple(row[key] for key in KEYS), {})
            place = Place(row["layer"], row["head"])
            by_measure.setdefault(row["measure"], {})[place] = row
    found = []
    for keys, own in variants.items():
        known = dict(zip(KEYS, keys, strict=True))
        if known["percent"] == 0 or "jsd" not in own:
            continue
        same = [  # all seeds of the same share, this one among them
            each for other, each in variants.items() if other[1] == known["model"]
            and other[3] == known["percent"]
        ]  # fmt: skip
        before = next(
            (each for other, each in variants.items() if other[1:3] == (keys[1], "pretrained")), {}
        )
        found += _of_variant(known, own, before, [each.get("jsd_ceiling", {}) for each in same])
    return found


def _of_variant(
    known: Row,
    own: dict[str, dict[Place, Row]],
    before: dict[str, dict[Place, Row]],
    ceilings: Sequence[dict[Place, Row]],
) -> list[Row]:
    """Rows of one variant; `ceilings` are of all seeds, as far as they have one."""
    rank = ranks({place: row["value"] for place, row in own["jsd"].items()})
    nulls: dict[int, list[float | None]] = {}
    for place, row in own.get("jsd_null_head", {}).items():
        nulls.setdefault(place.layer, []).append(row["value"])
    found = []
    for place in sorted(own["jsd"]):
        row = own["jsd"][place]
        ceiling = [
            _mean([each[place][end] for each in ceilings if place in each])
            for end in ("value", "low", "high")
        ]
        floor, null = ceiling[0] or 0.0, _mean(nulls.get(place.layer, []))
        values = {"jsd": row["value"], "jsd_low": row["low"], "jsd_high": row["high"]}
        places = {
            name.replace("jsd", "moved"): relative_change(value, floor, null)
            for name, value in values.items()
        }
        found.append(
            known
            | place._asdict()
            | values
            | dict(zip(("ceiling", "ceiling_low", "ceiling_high"), ceiling, strict=True))
            | {"null": null, "null_sentence": _value(own, "jsd_null_sentence", place)}
            | places
            | {"rank": rank[place]}
            | {name: _value(own, name, place) for name in PROPERTIES}
            | {f"{name}_before": _value(before, name, place) for name in PROPERTIES}
        )
    return found


def _value(measures: dict[str, dict[Place, Row]], measure: str, place: Place) -> float | None:
    row = measures.get(measure, {}).get(place)
    return row["value"] if row else None


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table, from that of attention."""
    path, kind = sources.path("attention"), "attention-table"
    blocks = (
        head_rows(read_task(path, kind, task, MEASURES).to_pylist())
        for task in tasks_of(path, kind)
    )
    return {"heads": Table(blocks)}
