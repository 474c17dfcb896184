"""At which layer what a probe finds enters a model, in single numbers.

All are of a probe's score by layer, the embeddings being layer 0:

- `best`: the best layer's score, and `best_layer`, the first with it;
- `reaches`: the first layer with 95 % of the best score;
- `expected_layer`: Tenney et al. (2019), "BERT Rediscovers the Classical NLP Pipeline", equation 4:
  the mean of the layers, each weighted by what it adds to the score of all layers up to it. Theirs
  is the score of one probe on a mix of those layers; here it is the best of their own scores.

A score that never rises above that of layer 0 has its expected layer at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from layerscope.core.measures import task_metrics
from layerscope.core.table_files import Sources, Table, read_task, tasks_of

Row = dict[str, Any]
SHARE = 0.95


def reaching_layer(scores: Sequence[float], share: float = SHARE) -> int:
    """First layer with at least `share` of the best score."""
    return int(np.argmax(np.asarray(scores) >= share * max(scores)))


def expected_layer(scores: Sequence[float]) -> float:
    """Mean layer weighted by what each adds to the best score of the layers up to it."""
    best = np.maximum.accumulate(np.asarray(scores, np.float64))
    added = np.diff(best)
    if added.sum() <= 0:
        return 0.0
    return float((added * np.arange(1, len(best))).sum() / added.sum())


def entry_rows(rows: Sequence[Row]) -> list[Row]:
    """Rows of the table of entry, from one task's rows of the table of probes.

    Probes are judged by the task's own metric. Layers are given as depth too, the layer over the
    last one; of `best` the depth is that of its layer.
    """
    metric, _ = task_metrics({row["metric"] for row in rows})
    curves: dict[tuple[Any, ...], dict[int, float]] = {}
    keys = ("task", "model", "variant", "percent", "seed", "probe", "view")
    for row in rows:
        if row["metric"] == metric and row["value"] is not None:
            place = tuple(row[key] for key in keys)
            curves.setdefault(place, {})[row["layer"]] = row["value"]
    found = []
    for place, curve in curves.items():
        scores = [curve[layer] for layer in sorted(curve)]
        last = max(len(scores) - 1, 1)
        best = int(np.argmax(scores))
        values = {
            "best": (scores[best], best),
            "best_layer": (best, best),
            "reaches": (reached := reaching_layer(scores), reached),
            "expected_layer": (expected := expected_layer(scores), expected),
        }
        found += [
            dict(zip(keys, place, strict=True))
            | {"metric": metric, "measure": name, "value": float(value), "depth": at / last}
            for name, (value, at) in values.items()
        ]
    return found


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table, from that of probe scores."""
    path, kind = sources.path("probes"), "probes-table"
    rows = (entry_rows(read_task(path, kind, task).to_pylist()) for task in tasks_of(path, kind))
    return {"entry": Table([list(chain.from_iterable(rows))])}
