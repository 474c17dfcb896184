"""Association: closed forms, planted relations that must be found, shuffled ones that must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from layerscope.core.errors import UserError
from layerscope.core.measures import task_metrics
from layerscope.evaluation.association import (
    associate,
    association_rows,
    centred_slope,
    task_points,
)
from layerscope.evaluation.inner_measures import (
    attention_measures,
    centre_of_mass,
    points,
    probe_measures,
)

Row = dict[str, Any]
POINT = ["model", "percent", "seed", "inner", "score"]


def probes(scores: dict[str, list[float]], model: str = "m", view: str = "joint") -> pd.DataFrame:
    """Rows of the table of probes: a score a layer for each variant."""
    rows = [
        {"model": model, "variant": variant, "probe": "linear", "rows": "validation", "view": view,
         "layer": layer, "depth": layer / (len(values) - 1), "metric": "accuracy", "value": value}
        for variant, values in scores.items()
        for layer, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def by_name(found: pd.DataFrame) -> dict[str, dict[tuple[str, str], float]]:
    """Value of each inner measure by (model, variant)."""
    return {
        name: own.set_index(["model", "variant"])["inner"].to_dict()
        for name, own in found.groupby("inner measure", sort=False)
    }


def made_up(models: int, relation: float, shift: float, seed: int, each: int = 6) -> pd.DataFrame:
    """Points whose score follows the inner measure within models, plus `shift` a model."""
    rng = np.random.default_rng(seed)
    made = []
    for model in range(models):
        for s in range(each):
            inner = rng.standard_normal()
            score = relation * inner + shift * model + 0.1 * rng.standard_normal()
            made.append((f"m{model}", 10, s, inner, score))
    return pd.DataFrame(made, columns=POINT)


def by_statistic(rows: list[Row]) -> dict[str, Row]:
    return {row["statistic"]: row for row in rows}


def test_centre_of_mass() -> None:
    assert centre_of_mass([0, 0.5, 1], [0, 0, 2]) == 1
    assert centre_of_mass([0, 0.5, 1], [1, 1, 1]) == pytest.approx(0.5)
    assert centre_of_mass([0, 0.5, 1], [0, 1, 3]) == pytest.approx(0.875)
    assert np.isnan(centre_of_mass([0, 1], [0, 0]))


def test_probe_measures_in_closed_form() -> None:
    rows = probes(
        {"pretrained": [0.3, 0.5, 0.4], "random": [0.3, 0.3, 0.3], "f10-s1": [0.4, 0.6, 0.8]}
    )
    found = by_name(probe_measures(rows, "accuracy"))
    name = "linear probe, joint view: "
    key = ("m", "f10-s1")
    assert [n.removeprefix(name) for n in found] == [
        "best layer", "mean of layers", "gain of best layer", "depth",
    ]  # fmt: skip
    assert all(list(values) == [key] for values in found.values())
    assert found[name + "best layer"][key] == 0.8
    assert found[name + "mean of layers"][key] == pytest.approx(0.6)
    assert found[name + "gain of best layer"][key] == pytest.approx(0.3)
    assert found[name + "depth"][key] == pytest.approx((0.2 * 0.5 + 0.4) / 0.6)
    assert probe_measures(rows, "macro_f1").empty


def test_other_features_and_poolings_of_the_same_states_are_no_further_inner_measures() -> None:
    scores = {"pretrained": [0.3, 0.5], "f10-s1": [0.4, 0.6]}

    def of(*views: str) -> pd.DataFrame:
        return pd.concat([probes(scores, view=view) for view in views])

    plain = of("separate", "premise", "hypothesis", "joint")
    further = of("combined", "joint-last", "separate-last", "premise-last", "combined-last")
    both = probe_measures(pd.concat([plain, further]), "accuracy")
    pd.testing.assert_frame_equal(both, probe_measures(plain, "accuracy"))
    assert len(probe_measures(of("joint-last"), "accuracy")) == 4  # where there is no mean


def test_gain_needs_the_pretrained_model() -> None:
    found = by_name(probe_measures(probes({"f10-s1": [0.4, 0.6]}), "accuracy"))
    assert np.isnan(found["linear probe, joint view: gain of best layer"]["m", "f10-s1"])


def test_attention_measures_in_closed_form() -> None:
    values = {1: (0.1, 0.3), 2: (0.6, 0.6)}  # layer to heads
    rows = [
        {"model": "m", "variant": variant, "percent": percent, "measure": measure,
         "layer": layer, "head": head, "value": value if measure == "jsd" else 1 - value}
        for variant, percent in (("f10-s1", 10), ("random", 0))
        for measure in ("jsd", "cosine", "jsd_null_head")
        for layer, heads in values.items()
        for head, value in enumerate(heads)
    ]  # fmt: skip
    found = by_name(attention_measures(pd.DataFrame(rows)))
    key = ("m", "f10-s1")
    assert all(list(v) == [key] for v in found.values())
    assert found["attention JSD"][key] == pytest.approx(0.4)
    assert found["attention cosine"][key] == pytest.approx(0.6)
    # Blocks 1 and 2 of 2 stand at depths 0.5 and 1, with means 0.2 and 0.6.
    assert found["attention JSD depth"][key] == pytest.approx((0.5 * 0.2 + 0.6) / 0.8)


def test_points_are_single_seeds_that_have_both_sides() -> None:
    def score(variant: str, seed: int | None, metric: str = "accuracy") -> Row:
        return {"model": "m", "variant": variant, "percent": 10, "seed": seed, "metric": metric,
                "value": 0.7}  # fmt: skip

    scores = [score("f10-s1", 1), score("f10-s2", 2), score("f10-s3", 3), score("f10", None),
              score("f10-s1", 1, "macro_f1")]  # fmt: skip
    inner = pd.DataFrame(
        {"model": "m", "variant": ["f10-s1", "f10-s2", "f10"], "inner": [0.5, np.nan, 0.5]}
    )
    found = points(pd.DataFrame(scores), inner, "accuracy")
    assert found[POINT].to_numpy().tolist() == [["m", 10, 1, 0.5, 0.7]]


def test_spearman_agrees_with_scipy_and_leave_one_out_with_its_definition() -> None:
    chosen = made_up(4, 0.05, 0.1, seed=3)
    found = by_statistic(associate(chosen, 200, 0.95, 0))
    x, y = chosen["inner"], chosen["score"]
    assert found["spearman"]["value"] == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert found["spearman"]["n"] == 24
    left = []
    for model in ("m0", "m1", "m2", "m3"):
        kept = chosen[chosen["model"] != model]
        left.append(scipy.stats.spearmanr(kept["inner"], kept["score"]).statistic)
    row = found["spearman leave-one-model-out"]
    assert row["value"] == pytest.approx(np.mean(left))
    assert (row["low"], row["high"]) == (pytest.approx(min(left)), pytest.approx(max(left)))


def test_within_model_slope_is_the_slope_with_an_intercept_for_each_model() -> None:
    chosen = made_up(5, 0.8, 2.0, seed=1)
    intercepts = pd.get_dummies(chosen["model"], dtype=float)
    design = np.column_stack([chosen["inner"], intercepts])
    expected = np.linalg.lstsq(design, chosen["score"].to_numpy(), rcond=None)[0][0]
    found = by_statistic(associate(chosen, 200, 0.95, 0))["within-model slope"]
    assert found["value"] == pytest.approx(expected)
    assert found["value"] == pytest.approx(0.8, abs=0.1)
    assert found["low"] < found["value"] < found["high"]


def test_within_model_slope_ignores_what_only_differs_between_models() -> None:
    made = [(f"m{m}", 10, s, m + 0.1, 2.0 * m + 0.01 * s) for m in range(4) for s in (0, 1)]
    chosen = pd.DataFrame(made, columns=POINT)
    found = by_statistic(associate(chosen, 200, 0.95, 0))
    assert found["spearman"]["value"] > 0.9
    assert found["within-model slope"]["value"] is None


def test_a_planted_relation_is_found() -> None:
    for seed in range(5):
        row = by_statistic(associate(made_up(8, 0.5, 0.0, seed), 400, 0.95, 0))["spearman"]
        assert row["low"] > 0.5
        assert row["low"] <= row["value"] <= row["high"]


def test_a_shuffled_relation_is_not() -> None:
    """Inner measures that belong to other models: at most a few of 40 intervals miss 0."""
    rng = np.random.default_rng(0)
    missed = 0
    for seed in range(40):
        chosen = made_up(8, 0.5, 0.0, seed)
        mixed = chosen.assign(inner=rng.permutation(chosen["inner"]))
        row = by_statistic(associate(mixed, 200, 0.95, 0))["spearman"]
        missed += not row["low"] <= 0 <= row["high"]
    assert missed <= 8


def test_intervals_know_that_points_of_a_model_go_together() -> None:
    """Twelve copies of each of 5 points say no more than the points themselves."""
    rng = np.random.default_rng(2)
    made = [(f"m{m}", 10, 0, rng.random(), rng.random()) for m in range(5)]
    few = pd.DataFrame(made, columns=POINT)
    many = few.loc[few.index.repeat(12)]
    one = by_statistic(associate(few, 400, 0.95, 0))["spearman"]
    twelve = by_statistic(associate(many, 400, 0.95, 0))["spearman"]
    assert twelve["value"] == pytest.approx(one["value"])
    # Resampling the 60 points as if independent would give about a fourth of the width.
    assert twelve["high"] - twelve["low"] > 0.9 * (one["high"] - one["low"])


@pytest.mark.parametrize("models", [0, 1])
def test_without_two_models_there_is_no_interval(models: int) -> None:
    rows = associate(made_up(models, 0.5, 0.0, seed=0), 200, 0.95, 0)
    assert {(row["low"], row["high"]) for row in rows} == {(None, None)}
    assert {row["n"] for row in rows} == {6 * models}
    assert (by_statistic(rows)["spearman"]["value"] is None) == (models == 0)


def test_centred_slope_counts_copies_of_a_model_apart() -> None:
    x, y = np.array([0.0, 1, 5, 6]), np.array([0.0, 2, 1, 3])
    assert centred_slope(x, y, ["a", "a", "b", "b"]) == pytest.approx(2)


def test_rows_of_a_task_hold_every_measure_metric_and_statistic() -> None:
    scores, probed = [], []
    for m in range(3):
        curves = {"pretrained": [0.3, 0.4]}
        for s in (1, 2):
            value = 0.5 + 0.1 * m + 0.01 * s
            curves[f"f10-s{s}"] = [0.3, value]
            scores.append({"model": f"m{m}", "variant": f"f10-s{s}", "percent": 10, "seed": s,
                           "metric": "accuracy", "value": value})  # fmt: skip
        probed.append(probes(curves, f"m{m}"))
    attention = pd.DataFrame(columns=["model", "variant", "percent", "measure", "layer", "value"])
    found = task_points(pd.DataFrame(scores), pd.concat(probed), attention)
    assert {(metric, len(each)) for (metric, _), each in found.items()} == {("accuracy", 6)}
    rows = association_rows("t", found, 100, 0.95, 0)
    assert len(rows) == 4 * 4
    best = [r for r in rows if r["inner measure"].endswith("best layer")
            and r["statistic"] == "spearman"]  # fmt: skip
    assert best[0]["value"] == pytest.approx(1)
    assert best[0]["n"] == 6


def test_task_metrics() -> None:
    assert task_metrics({"accuracy", "macro_f1"}) == ("accuracy", "macro_f1")
    assert task_metrics({"accuracy", "entity_f1", "token_macro_f1"})[0] == "entity_f1"
    with pytest.raises(UserError, match="allowed: one of accuracy, entity_f1"):
        task_metrics({"loss"})
