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

import numpy as np
import pandas as pd

from layerscope.core.measures import of_main_rows, task_metrics
from layerscope.core.table_files import Sources, Table

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


def entry_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table of entry, from one task's rows of the table of probes.

    Probes are judged by the task's own metric. Layers are given as depth too, the layer over the
    last one; of `best` the depth is that of its layer.
    """
    metric, _ = task_metrics(set(rows["metric"]))
    chosen = rows[(rows["metric"] == metric) & rows["value"].notna()]
    keys = ["task", "model", "variant", "percent", "seed", "probe", "view"]
    found = []
    for place, curve in chosen.groupby(keys, sort=False, dropna=False):
        scores = curve.sort_values("layer")["value"].tolist()
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
    return pd.DataFrame(found, columns=[*keys, "metric", "measure", "value", "depth"])


def tabulate(sources: Sources) -> dict[str, Table]:
    """The table, from that of probe scores."""
    tasks = sources.tasks("probes")
    rows = [entry_rows(of_main_rows(sources.table("probes", task))) for task in tasks]
    return {"layer_localization": Table([pd.concat(rows)])}
