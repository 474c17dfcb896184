"""At which layer a score is reached: closed forms."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from layerscope.analysis.layer_localization import entry_rows, expected_layer, reaching_layer


@pytest.mark.parametrize(
    ("scores", "layer"),
    [([0.2, 0.5, 1.0], 2), ([0.96, 0.5, 1.0], 0), ([0.5, 0.95, 0.94, 1.0], 1), ([0.0, 0.0], 0)],
)
def test_the_first_layer_near_the_best(scores: list[float], layer: int) -> None:
    assert reaching_layer(scores, range(len(scores))) == layer
    assert reaching_layer(scores, range(8, 8 + len(scores))) == 8 + layer


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
    assert expected_layer(scores, range(len(scores))) == pytest.approx(layer)
    assert expected_layer(scores, range(8, 8 + len(scores))) == pytest.approx(8 + layer)


def localized(layers: list[int], last: int) -> dict[tuple[str, str], dict[str, Any]]:
    """What is found in scores of three layers of a model: rows by view and measure."""
    keys = {"task": "t", "model": "m", "variant": "f10-s1", "percent": 10, "seed": 1}
    rows = [
        {**keys, "probe": "linear", "view": view, "layer": layer, "depth": layer / last,
         "metric": metric, "value": value}
        for view, scores in (("joint", [0.2, 0.6, 0.5]), ("separate", [0.3, 0.3, 0.3]))
        for layer, score in zip(layers, scores, strict=True)
        for metric, value in (("accuracy", score), ("macro_f1", 1 - score), ("selectivity", 0.0))
    ]  # fmt: skip
    found = entry_rows(pd.DataFrame(rows)).to_dict("records")
    return {(row["view"], row["measure"]): row for row in found}


def test_layers_keep_their_numbers_where_some_are_stored() -> None:
    found = localized([0, 8, 20], last=24)
    assert found["joint", "best"]["depth"] == 8 / 24
    for measure in ("best_layer", "reaches", "expected_layer"):
        assert (found["joint", measure]["value"], found["joint", measure]["depth"]) == (8, 8 / 24)


def test_rows_are_of_the_tasks_metric_and_of_each_probe_and_view() -> None:
    found = localized([0, 1, 2], last=2)
    assert len(found) == 8
    assert found["joint", "best"]["value"] == 0.6
    assert found["joint", "best"]["depth"] == 0.5
    assert found["joint", "best_layer"]["value"] == 1
    assert found["joint", "reaches"]["value"] == 1
    assert found["joint", "expected_layer"]["value"] == 1
    assert found["separate", "expected_layer"]["value"] == 0
    assert {row["metric"] for row in found.values()} == {"accuracy"}
