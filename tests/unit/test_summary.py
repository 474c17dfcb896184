"""Findings in sentences: stated where an interval supports them, and never else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from layerscope.core.formats import SCHEMAS
from layerscope.summary.associations import association_findings
from layerscope.summary.heads import head_findings, intervention_findings
from layerscope.summary.intervals import Interval, over_seeds
from layerscope.summary.layers import input_findings, probe_findings, similarity_findings
from layerscope.summary.scores import calibration_findings, novelty_findings, score_findings
from layerscope.summary.text import summarise

Row = dict[str, Any]
#: Of a table without rows.
COLUMNS = [
    "percent",
    "metric",
    "model",
    "measure",
    "variant",
    "value",
    "low",
    "high",
    "holm",
    "view",
]
ABOUT = {
    "bert": ("encoder", "general"),
    "biobert": ("encoder", "biomedical"),
    "gpt": ("decoder", "general"),
    "bag-of-words": ("baseline", "none"),
}


def frame(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=None if rows else COLUMNS)


def findings(find: Callable[..., list[str]], *arguments: Any) -> list[str]:
    """What a function finds in tables that are given as lists of rows."""
    return find(*(frame(each) if isinstance(each, list) else each for each in arguments))


def whole(tables: dict[str, list[Row]]) -> str:
    frames = {
        name: pd.DataFrame(rows, columns=list(SCHEMAS[f"{name}-table"]))
        for name, rows in tables.items()
    }
    return summarise("demo", frames, 0.95, 1000)


def score(model: str, percent: int, value: float, half: float, seed: int | None = None) -> Row:
    architecture, domain = ABOUT[model]
    return {
        "task": "t", "model": model, "architecture": architecture, "domain": domain,
        "variant": f"f{percent}", "percent": percent, "seed": seed, "metric": "accuracy",
        "value": value, "low": value - half, "high": value + half,
    }  # fmt: skip


def difference(model: str, other: str, value: float, holm: float) -> Row:
    return {
        "task": "t", "percent": 100, "metric": "accuracy", "model": model, "other": other,
        "value": value, "low": value - 0.02, "high": value + 0.02, "p": holm / 2, "holm": holm,
        "groups": 50,
    }  # fmt: skip


def test_models_are_told_apart_by_the_paired_test_whatever_their_own_intervals() -> None:
    rows = [
        score("bert", 100, 0.80, 0.05),
        score("biobert", 100, 0.83, 0.05),
        score("gpt", 100, 0.60, 0.02),
        score("bag-of-words", 100, 0.55, 0.02),
    ]
    pairs = [
        difference("bert", "biobert", 0.03, 0.04),
        difference("biobert", "gpt", -0.23, 0.01),
        difference("biobert", "bag-of-words", -0.28, 0.06),
    ]
    best, *rest = findings(score_findings, rows, "accuracy", pairs, 1000)
    assert best.startswith("**biobert** scores highest")
    assert "0.830 (0.780 to 0.880)" in best
    assert "Below it: bert by 0.030 (0.010 to 0.050); and gpt by 0.230 (0.210 to 0.250)." in best
    assert "Not told apart from it: bag-of-words, 0.550 (0.530 to 0.570)." in best
    assert rest == ["The biomedical biobert is above the general bert by 0.030 (0.010 to 0.050)."]
    same = [difference("bert", "biobert", 0.03, 0.05), *pairs[1:]]
    assert findings(score_findings, rows, "accuracy", same, 1000)[-1] == (
        "The biomedical biobert, 0.830 (0.780 to 0.880), and the general bert, "
        "0.800 (0.750 to 0.850), are not told apart."
    )
    turned = [difference("bert", "biobert", -0.03, 0.01)]
    assert findings(score_findings, rows, "accuracy", turned, 1000)[-1] == (
        "The biomedical biobert is below the general bert by 0.030 (0.010 to 0.050)."
    )


def test_a_baseline_above_the_best_model_is_said_to_be_so() -> None:
    rows = [score("gpt", 100, 0.4, 0.02), score("bag-of-words", 100, 0.6, 0.02)]
    (found,) = findings(
        score_findings, rows, "accuracy", [difference("gpt", "bag-of-words", 0.2, 0.01)], 99
    )
    assert "**gpt** scores highest of the models" in found
    assert "Above it: bag-of-words by 0.200 (0.180 to 0.220)." in found
    assert "Below" not in found


def test_resamples_that_can_tell_no_pair_apart_are_named() -> None:
    rows = [score("bert", 100, 0.8, 0.02), score("gpt", 100, 0.6, 0.02)]
    pairs = [difference("bert", "gpt", -0.2, 0.3)] * 10
    assert "10 pairs need at least 200." in " ".join(
        findings(score_findings, rows, "accuracy", pairs, 199)
    )
    assert "pairs need" not in " ".join(findings(score_findings, rows, "accuracy", pairs, 200))


def test_gains_of_more_data_are_stated_where_intervals_are_apart() -> None:
    rows = [
        score("bert", 10, 0.5, 0.05), score("bert", 100, 0.7, 0.05),
        score("gpt", 10, 0.5, 0.05), score("gpt", 100, 0.55, 0.05),
    ]  # fmt: skip
    found = findings(score_findings, rows, "accuracy", [], 1000)
    gain = "From 10 % to 100 % of the data gain: bert from 0.500 (0.450 to 0.550) to 0.700"
    assert any(text.startswith(gain) for text in found)
    assert "No gain from 10 % to 100 % is told apart from none: gpt." in found


def test_a_mean_over_seeds_stands_before_a_seed() -> None:
    rows = [score("bert", 100, 0.9, 0.01, seed=1), score("bert", 100, 0.8, 0.01)]
    for order in (rows, rows[::-1]):
        assert "0.800 (0.790 to 0.810)" in findings(score_findings, order, "accuracy", [], 1000)[0]
    assert "0.900" in findings(score_findings, rows[:1], "accuracy", [], 1000)[0]


def test_the_interval_over_seeds_is_students() -> None:
    values = list(np.random.default_rng(0).normal(0.3, 0.1, size=6))
    expected = ttest_1samp(values, 0).confidence_interval(0.9)
    found = over_seeds(values, 0.9)
    assert found == pytest.approx((np.mean(values), expected.low, expected.high))
    assert over_seeds([0.5], 0.95) == Interval(0.5, -math.inf, math.inf)


def probes(after: list[float], before: float = 0.5) -> list[Row]:
    scores = {"pretrained": (0, None, before)} | {
        f"f100-s{seed}": (100, seed, value) for seed, value in enumerate(after)
    }
    return [
        {"task": "t", "model": "bert", "variant": variant, "percent": percent, "seed": seed,
         "probe": "linear", "view": view, "layer": layer, "metric": "accuracy",
         "value": value - 0.1 * (layer != 1)}
        for variant, (percent, seed, value) in scores.items()
        for view in ("joint", "premise")
        for layer in range(3)
    ]  # fmt: skip


def test_a_probe_s_change_needs_seeds_that_agree() -> None:
    (found,) = findings(probe_findings, probes([0.70, 0.71, 0.69]), "accuracy", 0.95)
    assert found.startswith(
        "Fine-tuning on 100 % changes the best layer's score of the linear probe (joint)"
    )
    assert "bert by 0.200" in found
    (silent,) = findings(probe_findings, probes([0.7, 0.4, 0.55]), "accuracy", 0.95)
    assert silent.startswith("No change")
    (few,) = findings(probe_findings, probes([0.9, 0.9]), "accuracy", 0.95)
    assert few.startswith("Nothing is said of probes with fewer than 3 seeds")


def of_views(views: dict[str, list[float]], model: str = "gpt", before: float = 0.9) -> list[Row]:
    """Scores of the last of two layers, a seed each, after fine-tuning; and one before."""
    scores = [
        (view, f"f100-s{seed}", 100, seed, value)
        for view, values in views.items()
        for seed, value in enumerate(values)
    ]
    scores += [(view, "pretrained", 0, None, before) for view in views]
    return [
        {"task": "t", "model": model, "variant": variant, "percent": percent, "seed": seed,
         "probe": "linear", "view": view, "layer": layer, "metric": "accuracy",
         "value": value - 0.3 * (layer == 0)}
        for view, variant, percent, seed, value in scores
        for layer in range(2)
    ]  # fmt: skip


def test_pooling_and_features_of_decoders_are_told_apart_where_seeds_agree() -> None:
    rows = of_views(
        {"joint": [0.5, 0.51, 0.52], "joint-last": [0.6, 0.62, 0.61],
         "separate": [0.5, 0.4, 0.6], "combined": [0.6, 0.3, 0.55]}
    )  # fmt: skip
    told, silent = findings(input_findings, rows, {"gpt"}, "accuracy", 0.95)
    assert told.startswith("The best layers of the linear probe (joint-last) and that on joint")
    assert "gpt by 0.100 (0.075 to 0.125)" in told
    assert silent.startswith("The best layers of the linear probe (combined) and that on separate")
    assert silent.endswith("are not told apart: gpt.")
    assert findings(input_findings, rows, {"bert"}, "accuracy", 0.95) == []
    two = [row for row in rows if row["seed"] != 2]
    assert findings(input_findings, two, {"gpt"}, "accuracy", 0.95) == []
    less = findings(input_findings,
        of_views({"joint": [0.6, 0.62, 0.61], "joint-last": [0.5, 0.51, 0.52]}),
        {"gpt"}, "accuracy", 0.95,
    )  # fmt: skip
    assert "gpt by -0.100" in less[0]


def test_other_poolings_and_features_stay_out_of_the_other_findings() -> None:
    rows = of_views({"joint": [0.5, 0.51, 0.52]}, before=0.3)
    more = of_views({"joint-last": [0.9] * 3, "combined": [0.9] * 3}, before=0.3)
    expected = findings(probe_findings, rows, "accuracy", 0.95)
    assert len(expected) == 1
    assert findings(probe_findings, rows + more, "accuracy", 0.95) == expected


def similarity(ends: list[float]) -> list[Row]:
    return [
        {"task": "t", "model": "bert", "variant": f"f100-s{seed}", "percent": 100, "seed": seed,
         "view": "word", "layer": layer, "measure": "cka", "value": value}
        for seed, end in enumerate(ends)
        for layer, value in enumerate([1.0, 0.9, end])
    ]  # fmt: skip


def test_the_layer_that_moved_is_named_where_seeds_agree() -> None:
    (found,) = findings(similarity_findings, similarity([0.30, 0.31, 0.29]), 0.95)
    assert found.startswith(
        "In bert the last layer moves more: CKA with the pre-trained model is 0.900"
    )
    assert findings(similarity_findings, similarity([0.2, 0.9, 1.0]), 0.95) == []


def heads(model: str, moved: list[float], ceiling: float | None = 0.1) -> list[Row]:
    """Two heads a seed: one as far as `moved` says between 0.1 and 0.5, one that stayed."""
    return [
        {"task": "t", "model": model, "variant": f"f100-s{seed}", "percent": 100, "seed": seed,
         "layer": 1, "head": head, "jsd_low": 0.08 + 0.4 * value, "ceiling_high": ceiling,
         "null": 0.5, "moved": value}
        for seed, most in enumerate(moved)
        for head, value in enumerate([most, 0.0])
    ]  # fmt: skip


def test_heads_are_counted_where_every_seed_moves_them() -> None:
    (found,) = findings(head_findings, heads("bert", [0.5, 0.6, 0.5]), 0.95)
    assert found.endswith("in every seed: bert 1 of 2.")
    (far,) = findings(head_findings, heads("bert", [1.1, 1.2, 1.1]), 0.95)
    assert far.endswith("bert 1 of 2, 1 of them by more than heads of a layer differ.")
    (one_seed_did_not,) = findings(head_findings, heads("bert", [0.5, 0.6, 0.0]), 0.95)
    assert one_seed_did_not.endswith("bert 0 of 2.")
    (unknown,) = findings(head_findings, heads("bert", [0.5], None), 0.95)
    assert unknown.startswith("Nothing is said of heads with one seed")


def test_whose_heads_move_most_needs_seeds_that_agree() -> None:
    rows = [
        *heads("gpt", [0.30, 0.31, 0.29]), *heads("bert", [0.80, 0.82, 0.81]),
        *heads("biobert", [0.7, 0.9, 0.8]),
    ]  # fmt: skip
    _, found = findings(head_findings, rows, 0.95)
    assert "the heads of bert move most, on average 0.405 (" in found
    assert "Less: gpt, 0.150 (" in found
    assert "biobert" not in found
    wide = [*heads("gpt", [0.1, 0.6, 0.3]), *heads("bert", [0.2, 0.9, 0.6])]
    assert (
        findings(head_findings, wide, 0.95)[1]
        == "Whose heads move most on average is not told apart."
    )


def interventions(costs: dict[str, list[float]]) -> list[Row]:
    """Costs of the most changed heads, a quarter of all; half of them would cost nothing."""
    found = []
    for name, by_seed in costs.items():
        for seed, cost in enumerate(by_seed):
            known = {"task": "t", "model": "bert", "seed": seed, "metric": "accuracy"}
            known |= {"intervention": name, "draw": None}
            if name.startswith("heads"):
                for share, change in ((25, -cost), (50, 0.0)):
                    found.append(known | {"share": share, "layer": None, "change": change})
            else:
                for layer, change in ((1, 0.0), (2, -2 * cost)):
                    found.append(known | {"share": None, "layer": layer, "change": change})
    return found


def test_what_the_score_depends_on_is_stated_above_the_control_alone() -> None:
    level = [0.02, 0.03, 0.02]
    rows = interventions(
        {
            "heads-most": [0.20, 0.22, 0.21],
            "heads-least": level,
            "heads-random": [0.35, 0.02, 0.30],
            "erased": [0.30, 0.31, 0.32],
            "erased-control": level,
        }
    )
    heads, erased = findings(intervention_findings, rows, "accuracy", 0.95)
    assert heads.startswith("In bert masking the most changed 25 % of heads costs 0.187 (0.1")
    assert "than masking the least changed" in heads
    assert erased.startswith("In bert erasing the label after a layer costs 0.287 (0.2")
    few = [row for row in rows if row["seed"] < 2]
    (found,) = findings(intervention_findings, few, "accuracy", 0.95)
    assert found.startswith("Nothing is said of interventions with fewer than 3 seeds")
    assert findings(intervention_findings, rows, "macro_f1", 0.95) == []


def test_what_a_study_has_no_table_of_is_not_spoken_of() -> None:
    titles = {
        "evaluation": "Calibration",
        "similarity": "How representations change",
        "heads": "Attention heads",
        "interventions": "What the score depends on",
    }
    tables: dict[str, list[Row]] = {name: [] for name in ("probes", "association", *titles)}
    tables["scores"] = [score("bert", 100, 0.8, 0.02), score("gpt", 100, 0.5, 0.02)]
    for name, title in titles.items():
        assert f"### {title}" in whole(tables)
        del tables[name]
        assert f"### {title}" not in whole(tables)


def test_without_tests_models_are_not_compared() -> None:
    rows = [score("bert", 100, 0.8, 0.02), score("gpt", 100, 0.5, 0.02)]
    (found,) = findings(score_findings, rows, "accuracy", None, 1000)
    assert found.endswith("The others, without a test: gpt, 0.500 (0.480 to 0.520).")
    assert "told apart" not in found
    tables: dict[str, list[Row]] = {"scores": rows, "probes": [], "association": []}
    assert "Models' scores are not compared" in whole(tables)
    tables["differences"] = []
    assert "where p of a paired test is below 0.05" in whole(tables)
    (tested,) = findings(score_findings, rows, "accuracy", [], 1000)
    assert "Not told apart from it: gpt" in tested


def evaluated(
    measure: str, model: str, value: float, half: float | None, percent: int = 100,
    seed: int | None = None,
) -> Row:  # fmt: skip
    ends = (None, None) if half is None else (value - half, value + half)
    return {
        "task": "t", "model": model, "variant": "f100", "percent": percent, "seed": seed,
        "measure": measure, "label": None, "bin": None, "value": value, "low": ends[0],
        "high": ends[1], "n": 9,
    }  # fmt: skip


def errors(gpt: float, chance: float) -> list[Row]:
    return [
        evaluated("ece", "gpt", gpt, 0.02),
        evaluated("ece", "bert", 0.05, 0.02),
        evaluated("ece", "biobert", 0.06, 0.02),
        evaluated("ece", "gpt", 0.9, 0.0, seed=1),
        evaluated("ece", "gpt", 0.9, 0.0, percent=10),
        evaluated("ece_calibrated", "gpt", chance, None),
        evaluated("ece_calibrated", "bert", 0.02, None),
        evaluated("ece_calibrated", "biobert", 0.02, None),
    ]


def test_calibration_errors_are_told_apart_beyond_what_chance_gives() -> None:
    (found,) = findings(calibration_findings, errors(0.2, 0.02))
    assert found == (
        "**bert** has the smallest calibration error (ECE): 0.050 (0.030 to 0.070). "
        "Larger is that of gpt, 0.200 (0.180 to 0.220). "
        "Not told apart from it: biobert, 0.060 (0.040 to 0.080)."
    )
    assert findings(calibration_findings, errors(0.08, 0.02)) == []  # intervals overlap
    assert (
        findings(calibration_findings, errors(0.2, 0.15)) == []
    )  # most of it is noise of more bins
    assert findings(calibration_findings, errors(0.2, 0.02)[:1]) == []


def test_a_gap_between_seen_and_unseen_entities_is_stated_where_its_interval_excludes_0() -> None:
    rows = []
    for model, gap, half in (("bert", 0.4, 0.1), ("gpt", 0.1, 0.2), ("biobert", -0.3, 0.1)):
        rows += [
            evaluated("f1_gap", model, gap, half),
            evaluated("f1_seen", model, 0.5 + gap, 0.1),
            evaluated("f1_unseen", model, 0.5, 0.1),
        ]
    higher, lower, silent = findings(novelty_findings, rows)
    assert higher == (
        "F1 of seen entities is higher (seen against unseen): "
        "bert by 0.400 (0.300 to 0.500), 0.900 against 0.500."
    )
    assert lower.startswith("F1 of unseen entities is higher")
    assert lower.endswith("biobert by 0.300 (0.200 to 0.400), 0.200 against 0.500.")
    assert silent == "F1 of seen and unseen entities is not told apart in gpt."


def test_associations_are_counted_beside_what_chance_gives() -> None:
    def row(name: str, value: float, low: float | None, high: float | None) -> Row:
        return {"task": "t", "inner measure": name, "metric": "accuracy", "statistic": "spearman",
                "value": value, "low": low, "high": high, "n": 9}  # fmt: skip

    rows = [row("a", 0.8, 0.5, 0.9), row("b", -0.9, -0.95, -0.6), row("c", 0.2, -0.3, 0.6)]
    found, power = findings(association_findings, rows, "accuracy", 0.95, 6)
    assert "6 independent models is told from 0 at 5 % from 0.89 on" in power
    assert found.startswith("Of 3 inner measures 2 go with the score")
    assert "chance alone would give about 0" in found
    assert found.index("b, -0.900") < found.index("a, 0.800")
    assert "c, " not in found
    none, power = findings(association_findings, rows[2:], "accuracy", 0.95, 4)
    assert "no rank correlation of 4 independent models" in power
    assert none.startswith("Of 1 inner measures 0 go with the score")
    (few,) = findings(association_findings, [row("a", 0.8, None, None)], "accuracy", 0.95, 2)
    assert "too few models" in few


def test_the_whole_has_every_task_and_says_where_there_is_nothing() -> None:
    tables: dict[str, list[Row]] = {
        "scores": [score("bert", 100, 0.8, 0.02)],
        "differences": [],
        "evaluation": [],
        "probes": [],
        "similarity": [],
        "heads": [],
        "association": [],
    }
    text = whole(tables)
    assert text.startswith("# Study demo")
    assert "## t\n" in text
    assert text.count("Nothing that an interval supports.") == 5
    assert "\n- **bert** scores highest" in text
    assert "entities" not in text  # the task has none
    gap = evaluated("f1_gap", "bert", 0.4, 0.1)
    sides = [evaluated(f"f1_{side}", "bert", 0.5, 0.1) for side in ("seen", "unseen")]
    text = whole({**tables, "evaluation": [gap, *sides]})
    assert "### Seen and unseen entities\n\n- F1 of seen entities is higher" in text
