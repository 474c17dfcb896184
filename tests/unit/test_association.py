"""Association: closed forms, planted associations, placebos, and too few models."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from simulated_studies import TWELVE, Null, Shape, simulate

from layerscope.config.statistics import AssociationSettings
from layerscope.core.errors import UserError
from layerscope.core.measures import task_metrics
from layerscope.core.variants import parse_variant
from layerscope.evaluation.association import association_rows, task_points
from layerscope.evaluation.inner_measures import (
    attention_measures,
    centre_of_mass,
    points,
    probe_measures,
)
from layerscope.evaluation.placebos import PLACEBOS
from layerscope.evaluation.profiles import task_profiles
from layerscope.statistics.held_out import held_out_r2
from layerscope.statistics.permutation import orders_of, permutation_test

Row = dict[str, Any]
POINT = ["model", "percent", "seed", "inner", "score"]


def probes(scores: dict[str, list[float]], model: str = "m", view: str = "joint") -> pd.DataFrame:
    """Rows of the table of probes: a score a layer for each variant."""
    rows = [
        {"model": model, "variant": variant, "probe": "linear", "rows": "validation", "view": view,
         "layer": layer, "depth": layer / (len(values) - 1), "metric": "accuracy", "value": value,
         **dict(zip(("percent", "seed"), parse_variant(variant), strict=True))}
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


SETTINGS = AssociationSettings(resamples=199, confidence=0.95, seed=0, families={})


def frame(inner: np.ndarray, score: np.ndarray, families: int | None = None) -> pd.DataFrame:
    """Points of arrays of models x fractions x seeds."""
    made = [
        (
            f"m{m % (families or len(inner))}",
            f"m{m}",
            10 * (f + 1),
            s,
            inner[m, f, s],
            score[m, f, s],
        )
        for m, f, s in np.ndindex(inner.shape)
    ]  # fmt: skip
    return pd.DataFrame(made, columns=["family", *POINT])


def rows_of(
    points_of: dict[str, pd.DataFrame], settings: Any = SETTINGS
) -> dict[tuple[str, str], Row]:
    """Rows of the table by inner measure and statistic, of points by inner measure."""
    made = task_profiles("t", {("accuracy", name): own for name, own in points_of.items()})
    rows = association_rows("t", made, SETTINGS)
    assert all((row["task"], row["metric"]) == ("t", "accuracy") for row in rows)
    return {(row["inner measure"], row["statistic"]): row for row in rows}


def test_centre_of_mass() -> None:
    assert centre_of_mass([0, 0.5, 1], [0, 0, 2]) == 1
    assert centre_of_mass([0, 0.5, 1], [1, 1, 1]) == pytest.approx(0.5)
    assert centre_of_mass([0, 0.5, 1], [0, 1, 3]) == pytest.approx(0.875)
    assert np.isnan(centre_of_mass([0, 1], [0, 0]))


def test_probe_measures_in_closed_form() -> None:
    rows = probes(
        {"pretrained": [0.3, 0.5, 0.4], "random-s0": [0.3, 0.3, 0.3], "f10-s1": [0.4, 0.6, 0.8]}
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
        for variant, percent in (("f10-s1", 10), ("random-s0", 0))
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


def test_correlations_and_p_are_those_of_means_over_seeds() -> None:
    inner, score = simulate(TWELVE, Null(1, 3), np.random.default_rng(0), planted=2)
    found = rows_of({str(at): frame(own, score) for at, own in enumerate(inner)})
    means = inner.mean(axis=-1), score.mean(axis=-1)
    expected = permutation_test(*means, orders_of(12, 199, 0), 0.05)
    for at in range(len(inner)):
        row = found[str(at), "spearman within fractions"]
        assert row["value"] == pytest.approx(expected.value[at])
        assert row["p"] == pytest.approx(expected.p[at])
        assert row["p_corrected"] == pytest.approx(expected.corrected[at])
        assert row["critical"] == pytest.approx(expected.critical)
        assert row["low"] < row["value"] < row["high"]
        assert (row["n"], row["models"], row["placebo"]) == (240, 12, False)
        pooled = found[str(at), "spearman over all points"]
        rho = scipy.stats.spearmanr(inner[at].ravel(), score.ravel()).statistic
        assert pooled["value"] == pytest.approx(rho)
        assert (pooled["p"], pooled["low"]) == (None, None)
    assert found["0", "spearman within fractions"]["p_corrected"] <= 0.05


def test_one_model_left_out_is_what_its_name_says() -> None:
    (inner, *_), score = simulate(Shape(6, 2, 1), Null(1, 1), np.random.default_rng(1))
    row = rows_of({"a": frame(inner, score)})["a", "spearman within fractions, one model left out"]
    left = []
    for model in range(6):
        x, y = (np.delete(side[..., 0], model, axis=0) for side in (inner, score))
        left.append(np.mean([scipy.stats.spearmanr(x[:, f], y[:, f]).statistic for f in (0, 1)]))
    assert (row["value"], row["low"], row["high"]) == pytest.approx(
        (np.mean(left), min(left), max(left))
    )


def test_the_training_fraction_as_an_inner_measure_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the rule that was found 200 times of 200; with noise, in the simulations."""
    (inner, *_), score = simulate(TWELVE, Null(1, 3), np.random.default_rng(2))
    fraction = np.zeros_like(score) + np.array([10.0, 30, 50, 100])[None, :, None]
    with caplog.at_level(logging.WARNING):
        sides = {"copy": fraction, "training fraction": fraction, "real": inner}
        found = rows_of({name: frame(side, score) for name, side in sides.items()})
    assert {name for name, _ in found} == {"training fraction", "real"}
    (line,) = caplog.messages
    assert line.endswith("the same for all models within each training fraction: copy (accuracy)")
    row = found["training fraction", "spearman within fractions"]
    assert (row["placebo"], row["value"], row["p"]) == (True, None, None)
    assert found["training fraction", "spearman over all points"]["value"] > 0.8
    without, with_it = (
        found["training fraction", f"held-out R2, {name}"]["value"]
        for name in ("placebos", "placebos and measure")
    )
    assert without == 0
    assert 0.5 < with_it < 1


@pytest.mark.parametrize(("models", "families"), [(5, 5), (4, 4), (2, 2), (1, 1), (12, 5)])
def test_nothing_is_claimed_with_fewer_than_six_independent_models(
    models: int, families: int
) -> None:
    (inner, *_), score = simulate(Shape(models, 2, 2), Null(), np.random.default_rng(3), planted=9)
    sides = {"a": inner, "change of weights": score}
    found = rows_of({name: frame(side, score, families) for name, side in sides.items()})
    for row in found.values():
        claim = (row["p"], row["p_corrected"], row["critical"])
        assert claim == (None, None, None)
        assert row["statistic"].endswith("one model left out") or row["low"] is None
        assert row["value"] is None or not row["statistic"].startswith("held-out")
        assert row["models"] == families
    value = found["a", "spearman within fractions"]["value"]
    assert (value is None) == (models < 3)


def test_models_of_a_family_count_once() -> None:
    (inner, *_), score = simulate(Shape(12, 2, 2), Null(), np.random.default_rng(4))
    both = rows_of({"a": frame(inner, score, 6)})["a", "spearman within fractions"]
    means = [(side[:6] + side[6:]) / 2 for side in (inner, score)]
    one = rows_of({"a": frame(*means)})["a", "spearman within fractions"]
    assert both["value"] == pytest.approx(one["value"])
    assert both["p"] == one["p"]
    assert (both["n"], one["n"]) == (48, 24)


def test_copies_of_a_variant_add_no_evidence() -> None:
    (inner, *_), score = simulate(Shape(8, 2, 1), Null(), np.random.default_rng(5))
    one, many = (
        rows_of({"a": frame(*(np.repeat(side, seeds, axis=2) for side in (inner, score)))})
        for seeds in (1, 12)
    )
    row = "a", "spearman within fractions"
    assert {**many[row], "n": 0} == {**one[row], "n": 0}


def test_gaps_cost_a_fraction_and_other_models_a_correction(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inner, score = simulate(Shape(8, 3, 2), Null(), np.random.default_rng(6), planted=2)
    whole = frame(inner[0], score)
    gap = whole[~((whole["model"] == "m3") & (whole["percent"] == 20))]
    with caplog.at_level(logging.WARNING):
        found = rows_of({"whole": whole, "gap": gap})
    (line,) = caplog.messages
    assert line == ("t: not all models have gap (accuracy) on fractions 20, which are left out")
    row = found["gap", "spearman within fractions"]
    rest = frame(inner[0][:, [0, 2]], score[:, [0, 2]])
    alone = rows_of({"rest": rest})["rest", "spearman within fractions"]
    assert row["value"] == pytest.approx(alone["value"])
    # Two groups of measures are tested apart, and p is corrected for that too.
    assert row["p_corrected"] == pytest.approx(min(1, 2 * row["p"]))
    assert alone["p_corrected"] == alone["p"] == row["p"]
    apart = whole[(whole["model"] == "m0") == (whole["percent"] == 10)]  # no fraction in common
    values = {kind: row["value"] for (_, kind), row in rows_of({"apart": apart}).items()}
    assert values.pop("spearman over all points") is not None
    assert set(values.values()) == {None}
    nothing = whole[whole["inner"] > 99]
    for row in rows_of({"whole": whole, "nothing": nothing}).values():
        assert (row["value"] is None) <= (row["inner measure"] == "nothing")


def test_placebos_predict_before_the_measure_does() -> None:
    inner, score = simulate(Shape(8, 2, 2), Null(), np.random.default_rng(7), planted=3)
    points_of = {"a": inner[0], "b": inner[1], "change of weights": inner[0],
                 "optimiser steps": inner[2]}  # fmt: skip
    found = rows_of({name: frame(own, score) for name, own in points_of.items()})
    means = inner.mean(axis=-1), score.mean(axis=-1)
    expected = held_out_r2(means[1], means[0][[2, 0]]), held_out_r2(means[1], means[0][[2, 0, 1]])
    values = [found["b", f"held-out R2, {name}"]["value"]
              for name in ("placebos", "placebos and measure", "gain")]  # fmt: skip
    assert values == pytest.approx([*expected, expected[1] - expected[0]])
    # The measure that a placebo equals adds nothing, however closely it is associated.
    assert found["a", "spearman within fractions"]["p_corrected"] <= 0.05
    assert abs(found["a", "held-out R2, gain"]["value"]) < 0.1
    alone = found["change of weights", "held-out R2, gain"]["value"]
    fraction = held_out_r2(means[1], np.empty((0, 8, 2)))
    assert alone == pytest.approx(held_out_r2(means[1], means[0][:1]) - fraction)


def test_points_of_a_task_hold_every_measure_metric_and_placebo() -> None:
    scores, probed, weights = [], [], []
    for m in range(3):
        curves = {"pretrained": [0.3, 0.4 + 0.01 * m]}
        for s in (1, 2):
            value = 0.5 + 0.1 * m + 0.01 * s
            curves[f"f10-s{s}"] = [0.3, value]
            keys = {"model": f"m{m}", "variant": f"f10-s{s}", "percent": 10, "seed": s}
            scores.append({**keys, "metric": "accuracy", "value": value, "steps": 7 + m})
            weights += [{**keys, "layer": layer, "matrices": "all", "value": layer * value}
                        for layer in (0, 1, 2)]  # fmt: skip
            weights.append({**keys, "layer": 1, "matrices": "attention", "value": 9.0})
        probed.append(probes(curves, f"m{m}"))
    scores.append({**scores[0], "model": "majority"})
    attention = pd.DataFrame(columns=["model", "variant", "percent", "measure", "layer", "value"])
    related = {"m2": "m0"}
    tables = pd.DataFrame(scores), pd.concat(probed), attention
    found = task_points(*tables, pd.DataFrame(weights), related)
    assert {(metric, len(each)) for (metric, _), each in found.items()} == {("accuracy", 6)}
    names = [name for _, name in found]
    assert len(names) == 4 + 4
    assert names[4:] == list(PLACEBOS)
    assert (
        found["accuracy", "change of weights"]["family"].tolist()
        == ["m0"] * 2 + ["m1"] * 2 + ["m0"] * 2
    )
    inner = {name: each["inner"].tolist() for (_, name), each in found.items()}
    assert inner["training fraction"] == [10] * 6
    assert inner["optimiser steps"] == [7, 7, 8, 8, 9, 9]
    assert inner["pre-trained model's probe"] == pytest.approx([0.4, 0.4, 0.41, 0.41, 0.42, 0.42])
    assert inner["change of weights"][:2] == pytest.approx([1.5 * 0.51, 1.5 * 0.52])
    # Without steps and weights the rest is there.
    fewer = task_points(tables[0].drop(columns="steps"), *tables[1:], pd.DataFrame(weights)[:0], {})
    assert [name for _, name in fewer][4:] == ["training fraction", "pre-trained model's probe"]


def test_task_metrics() -> None:
    assert task_metrics({"accuracy", "macro_f1"}) == ("accuracy", "macro_f1")
    assert task_metrics({"accuracy", "entity_f1", "token_macro_f1"})[0] == "entity_f1"
    with pytest.raises(UserError, match="allowed: one of accuracy, entity_f1"):
        task_metrics({"loss"})
