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
from collections.abc import Sequence

import pandas as pd

from layerscope.core.applicability import merged
from layerscope.core.formats import file_metadata
from layerscope.core.table_files import Sources, Table
from layerscope.core.variants import PRETRAINED

#: One model's own properties, which the table has before and after.
PROPERTIES = ["entropy", "distance", "special", "first"]
#: What is taken from the table of attention.
MEASURES = ["jsd", "jsd_ceiling", "jsd_null_head", "jsd_null_sentence", *PROPERTIES]
VARIANT, HEAD = ["model", "variant"], ["layer", "head"]


def relative_change(jsd: pd.Series, ceiling: pd.Series, null: pd.Series) -> pd.Series:
    """Place of divergences on the scale from `ceiling` (0) to `null` (1), within it.

    NaN where there is no divergence, or no scale: no null, or one that is not above the ceiling.
    """
    place = (jsd - ceiling) / (null - ceiling)
    return place.clip(0, 1).where(null > ceiling)


def _mean(values: Sequence[float]) -> float:
    """Exactly rounded, whatever the order."""
    return math.fsum(values) / len(values) if len(values) else math.nan


def head_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table of heads, from one task's rows of the table of attention.

    Args:
        rows: of `MEASURES`; others are left out.

    Returns:
        A row a fine-tuned variant, layer and head, with the columns of the format "heads-table".
    """
    of = {measure: rows[rows["measure"] == measure] for measure in MEASURES}
    ends = {"value": "jsd", "low": "jsd_low", "high": "jsd_high"}
    found = of["jsd"].drop(columns="measure").rename(columns=ends)
    found = found[found["percent"] > 0]
    order = found.groupby(VARIANT, sort=False).ngroup()
    found = found.assign(order=order).sort_values(["order", *HEAD]).drop(columns="order")
    jsd = found.groupby(VARIANT)["jsd"]
    found["rank"] = jsd.rank(method="first", ascending=False)  # equal ones in the order of heads

    share = ["model", "percent", *HEAD]
    ends = {"value": "ceiling", "low": "ceiling_low", "high": "ceiling_high"}
    ceilings = of["jsd_ceiling"].groupby(share)[list(ends)].agg(lambda each: _mean(each.dropna()))
    found = found.merge(ceilings.rename(columns=ends).reset_index(), how="left", on=share)
    layer = [*VARIANT, "layer"]
    nulls = of["jsd_null_head"].groupby(layer)["value"].agg(_mean).rename("null")
    found = found.merge(nulls.reset_index(), how="left", on=layer)
    for name in ("jsd", "jsd_low", "jsd_high"):
        scale = (found["ceiling"].fillna(0), found["null"])
        found[name.replace("jsd", "moved")] = relative_change(found[name], *scale)

    def add(name: str, measured: pd.DataFrame, keys: list[str]) -> None:
        known = measured[[*keys, "value"]].rename(columns={"value": name})
        found[name] = found[keys].merge(known, how="left", on=keys)[name]

    add("null_sentence", of["jsd_null_sentence"], [*VARIANT, *HEAD])
    for name in PROPERTIES:
        add(name, of[name], [*VARIANT, *HEAD])
        before = of[name][of[name]["variant"] == PRETRAINED]
        add(f"{name}_before", before, ["model", *HEAD])
    return found


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table, from that of attention."""
    blocks = (
        head_rows(sources.table("attention", task, MEASURES)) for task in sources.tasks("attention")
    )
    described = file_metadata(sources.path("attention"), "attention-table")
    return {"heads": Table(blocks, merged([described]))}
