"""At which layer a score is reached: closed forms."""

from __future__ import annotations

import pandas as pd
import pytest

from layerscope.analysis.layer_localization import entry_rows, expected_layer, reaching_layer


@pytest.mark.parametrize(
    ("scores", "layer"),
    [([0.2, 0.5, 1.0], 2), ([0.96, 0.5, 1.0], 0), ([0.5, 0.95, 0.94, 1.0], 1), ([0.0, 0.0], 0)],
)
def test_the_first_layer_near_the_best(scores: list[float], layer: int) -> None:
    assert reaching_layer(scores) == layer


@pytest.mark.parametrize(
    ("scores", "layer"),
    [
        ([0.1, 0.1, 0.9], 2.0),  # all at once, at the end
        ([0.1, 0.9, 0.9], 1.0),
        ([0.0, 0.5, 1.0], 1.5),  # half and half
        ([0.0, 0.6, 0.2, 0.8], (0.6 * 1 + 0.2 * 3) / 0.8),  # a fall adds nothing
        ([0.7, 0.5, 0.3], 0.0),  # nothing is added after the embeddings
        ([0.4], 0.0),
    ],
)
def test_the_expected_layer_is_the_mean_of_where_the_score_is_gained(
    scores: list[float], layer: float
) -> None:
    assert expected_layer(scores) == pytest.approx(layer)


def test_rows_are_of_the_tasks_metric_and_of_each_probe_and_view() -> None:
    keys = {"task": "t", "model": "m", "variant": "f10-s1", "percent": 10, "seed": 1}
    rows = [
        {**keys, "probe": "linear", "view": view, "layer": layer, "metric": metric, "value": value}
        for view, scores in (("joint", [0.2, 0.6, 0.5]), ("separate", [0.3, 0.3, 0.3]))
        for layer, score in enumerate(scores)
        for metric, value in (("accuracy", score), ("macro_f1", 1 - score), ("selectivity", 0.0))
    ]
    found = {
        (row["view"], row["measure"]): row
        for row in entry_rows(pd.DataFrame(rows)).to_dict("records")
    }
    assert len(found) == 8
    assert found["joint", "best"]["value"] == 0.6
    assert found["joint", "best"]["depth"] == 0.5
    assert found["joint", "best_layer"]["value"] == 1
    assert found["joint", "reaches"]["value"] == 1
    assert found["joint", "expected_layer"]["value"] == 1
    assert found["separate", "expected_layer"]["value"] == 0
    assert {row["metric"] for row in found.values()} == {"accuracy"}
