"""At which layer what a probe finds enters a model, in single numbers.

All are of a probe's score by layer, the embeddings being layer 0. Where only some are stored, they
are of these:

- `best`: the best layer's score, and `best_layer`, the first with it;
- `reaches`: the first layer with 95 % of the best score;
- `expected_layer`: Tenney et al. (2019), "BERT Rediscovers the Classical NLP Pipeline", equation 4:
  the mean of the layers, each weighted by what it adds to the score of all layers up to it. Theirs
  is the score of one probe on a mix of those layers; here it is the best of their own scores.

A score that never rises above that of the first layer, mostly 0, has its expected layer there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from layerscope.core.measures import last_layer, of_main_rows, task_metrics
from layerscope.core.table_files import Sources, Table

SHARE = 0.95


def reaching_layer(scores: Sequence[float], layers: Sequence[int], share: float = SHARE) -> int:
    """First layer with at least `share` of the best score; arguments as of `expected_layer`."""
    return layers[int(np.argmax(np.asarray(scores) >= share * max(scores)))]


def expected_layer(scores: Sequence[float], layers: Sequence[int]) -> float:
    """Mean layer weighted by what each adds to the best score of the layers up to it.

    Args:
        scores: by layer.
        layers: their numbers, ascending.
    """
    best = np.maximum.accumulate(np.asarray(scores, np.float64))
    added = np.diff(best)
    if added.sum() <= 0:
        return float(layers[0])
    return float((added * np.asarray(layers[1:])).sum() / added.sum())


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
        curve = curve.sort_values("layer")
        scores, layers = curve["value"].tolist(), curve["layer"].tolist()
        last = max(last_layer(curve), 1)
        best = layers[int(np.argmax(scores))]
        values = {
            "best": (max(scores), best),
            "best_layer": (best, best),
            "reaches": (reached := reaching_layer(scores, layers), reached),
            "expected_layer": (expected := expected_layer(scores, layers), expected),
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
