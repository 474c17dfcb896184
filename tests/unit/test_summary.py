"""Findings of scores and of the whole, in sentences: stated where an interval supports them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from summarised import Row, findings

from layerscope.core.formats import SCHEMAS
from layerscope.summary.associations import association_findings
from layerscope.summary.scores import calibration_findings, novelty_findings, score_findings
from layerscope.summary.text import summarise

ABOUT = {
    "bert": ("encoder", "general"),
    "biobert": ("encoder", "biomedical"),
    "gpt": ("decoder", "general"),
    "bag-of-words": ("baseline", "none"),
}


def whole(tables: dict[str, list[Row]], notes: dict[str, str] | None = None) -> str:
    frames = {
        name: pd.DataFrame(rows, columns=list(SCHEMAS[f"{name}-table"]))
        for name, rows in tables.items()
    }
    return summarise("demo", frames, 0.95, notes)


def score(model: str, percent: int, value: float, half: float, seed: int | None = None) -> Row:
    architecture, domain = ABOUT[model]
    return {
        "task": "t", "model": model, "architecture": architecture, "domain": domain,
        "variant": f"f{percent}", "percent": percent, "seed": seed, "metric": "accuracy",
        "value": value, "low": value - half, "high": value + half,
    }  # fmt: skip


def difference(model: str, other: str, value: float, holm: float | None) -> Row:
    ends = (None, None) if holm is None else (value - 0.02, value + 0.02)
    return {
        "task": "t", "metric": "accuracy", "model": model, "percent": 100, "other": other,
        "other_percent": 100, "value": value, "low": ends[0], "high": ends[1], "p": holm,
        "holm": holm, "seeds": 3, "groups": 50,
    }  # fmt: skip


def gain(model: str, value: float, holm: float | None) -> Row:
    return difference(model, model, value, holm) | {"percent": 10}


def test_models_differ_by_the_test_whatever_their_own_intervals() -> None:
    rows = [
        score("bert", 100, 0.80, 0.05),
        score("biobert", 100, 0.83, 0.05),
        score("gpt", 100, 0.60, 0.02),
        score("bag-of-words", 100, 0.55, 0.02),
    ]
    pairs = [
        difference("bert", "biobert", 0.03, 0.04),
        difference("biobert", "gpt", -0.23, 0.06),
    ]
    (best,) = findings(score_findings, rows, "accuracy", pairs)
    assert best == (
        "**biobert** has the highest score of the models after fine-tuning on 100 % of the data: "
        "0.830 (0.780 to 0.880). Significantly lower: bert by 0.030 (0.010 to 0.050). "
        "No significant difference from it: gpt, 0.600 (0.580 to 0.620)."
    )


@pytest.mark.parametrize("pairs", [None, [("bert", "gpt", None)]])
def test_without_a_test_scores_are_given_and_not_compared(pairs: Any) -> None:
    rows = [score("bert", 100, 0.8, 0.02), score("gpt", 100, 0.5, 0.02)]
    tests = pairs and [difference(one, other, -0.3, holm) for one, other, holm in pairs]
    (found,) = findings(score_findings, rows, "accuracy", tests)
    assert found.endswith("Not tested: gpt, 0.500 (0.480 to 0.520).")
    assert "significant" not in found.lower()


def test_gains_of_more_data_are_those_of_the_test() -> None:
    rows = [score(m, p, 0.5, 0.05) for m in ("bert", "gpt", "biobert") for p in (10, 100)]
    gains = [gain("bert", 0.2, 0.01), gain("gpt", 0.05, 0.3), gain("biobert", -0.1, 0.02)]
    _, more, less, flat = findings(score_findings, rows, "accuracy", gains)
    span = "from 10 % to 100 % of the data"
    assert more == f"Scores rise significantly {span}: bert by 0.200 (0.180 to 0.220)."
    assert less == f"Scores fall significantly {span}: biobert by 0.100 (0.080 to 0.120)."
    assert flat == f"gpt shows no significant gain {span}."
    both = [gain("bert", 0.01, 0.5), gain("gpt", 0.05, 0.3)]
    assert findings(score_findings, rows, "accuracy", both)[-1].startswith("bert and gpt show no ")


def test_a_mean_over_seeds_stands_before_a_seed() -> None:
    rows = [score("bert", 100, 0.9, 0.01, seed=1), score("bert", 100, 0.8, 0.01)]
    for order in (rows, rows[::-1]):
        assert "0.800 (0.790 to 0.810)" in findings(score_findings, order, "accuracy", [])[0]
    assert "0.900" in findings(score_findings, rows[:1], "accuracy", [])[0]


def test_what_a_study_has_no_table_of_is_not_spoken_of() -> None:
    titles = {
        "error_analysis": "Calibration",
        "similarity": "How representations change",
        "heads": "Attention heads",
        "head_correlations": "Heads that matter",
        "interventions": "What the score depends on",
        "patching": "Where the change matters",
        "head_lens": "Where the answer is formed",
        "usable_information": "What predictors can use of layers",
    }
    tables: dict[str, list[Row]] = {name: [] for name in ("probes", "association", *titles)}
    tables["scores"] = [score("bert", 100, 0.8, 0.02), score("gpt", 100, 0.5, 0.02)]
    for name, title in titles.items():
        assert f"### {title}" in whole(tables)
        del tables[name]
        assert f"### {title}" not in whole(tables)


def test_the_head_says_whether_scores_are_tested() -> None:
    rows = [score("bert", 100, 0.8, 0.02), score("gpt", 100, 0.5, 0.02)]
    tables: dict[str, list[Row]] = {"scores": rows, "probes": [], "association": []}
    assert "Scores are not compared, since the study makes no tests" in whole(tables)
    tables["significance"] = []
    assert "where p of a test that draws seeds and test examples is below 0.05" in whole(tables)


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


def test_calibration_errors_differ_beyond_what_chance_gives() -> None:
    (found,) = findings(calibration_findings, errors(0.2, 0.02))
    assert found == (
        "**bert** has the smallest calibration error (ECE): 0.050 (0.030 to 0.070). "
        "Larger: gpt, 0.200 (0.180 to 0.220). "
        "No significant difference from it: biobert, 0.060 (0.040 to 0.080)."
    )
    none = ["No model's calibration error (ECE) is significantly larger than another's."]
    assert findings(calibration_findings, errors(0.08, 0.02)) == none  # intervals overlap
    # Most of it is noise of more bins.
    assert findings(calibration_findings, errors(0.2, 0.15)) == none
    assert findings(calibration_findings, errors(0.2, 0.02)[:1]) == []
    one_seed = [{**row, "seed": 1} for row in errors(0.2, 0.02)]
    assert findings(calibration_findings, one_seed) == []


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
    assert silent == "No significant difference between F1 of seen and unseen entities: gpt."
    # One group has all unseen entities: nothing is known of how far off the difference may be.
    (unknown,) = findings(novelty_findings, [{**row, "low": None, "high": None} for row in rows])
    assert unknown.startswith("No significant difference")


NAN = float("nan")


def associated(
    name: str, value: float, p: float, gain: float = NAN, models: int = 8, placebo: bool = False
) -> list[Row]:
    """Rows of an inner measure; p is corrected, and the placebos alone reach R² 0.4."""
    known = p == p
    own = {"task": "t", "inner measure": name, "metric": "accuracy", "placebo": placebo, "n": 32,
           "models": models, "p": p, "p_corrected": NAN if placebo else p}  # fmt: skip
    values = {"spearman over all points": 0.9, "held-out R2, placebos": 0.4,
              "held-out R2, placebos and measure": 0.4 + gain,
              "held-out R2, gain": gain}  # fmt: skip
    nothing = {"low": NAN, "high": NAN, "p": NAN, "p_corrected": NAN}
    ends = {"low": value - 0.1 if known else NAN, "high": value + 0.1 if known else NAN}
    return [
        {**own, "statistic": "spearman within fractions", "value": value, **ends},
        *({**own, "statistic": kind, "value": v, **nothing} for kind, v in values.items()),
    ]


def test_associations_are_stated_by_the_test_beside_placebos() -> None:
    rows = [
        *associated("a", 0.7, 0.05, 0.2), *associated("b", -0.8, 0.001, -0.1),
        *associated("c", 0.9, 0.06, 0.5), *associated("training fraction", NAN, NAN, placebo=True),
        *associated("change of weights", 0.3, 0.01, placebo=True),
    ]  # fmt: skip
    tested, predicted, pooled, placebos = findings(association_findings, rows, "accuracy")
    assert tested == (
        "Of 3 inner measures, 2 are significantly associated with the score within training "
        "fractions (permutation of 8 independent models, corrected for the number of inner "
        "measures). Strongest first: b, ρ = -0.800 (-0.900 to -0.700), p = 0.001; "
        "a, ρ = 0.700 (0.600 to 0.800), p = 0.050."
    )
    assert predicted == (
        "Of these, 1 improves the prediction of a held-out model's score by 0.01 of R² or more "
        "over the placebos alone (not tested). The largest gain: a, from R² = 0.40 to 0.60."
    )
    assert pooled.startswith("Over all fine-tuned variants the training fraction alone has a rank")
    assert placebos == (
        "For comparison, placebos within training fractions: change of weights, ρ = 0.30."
    )
    (worse, *_) = findings(association_findings, rows[5:], "accuracy")[1:]
    assert worse.startswith("None of these improves the prediction of a held-out model's score")
    none, *_ = findings(association_findings, rows[10:], "accuracy")
    assert none.startswith("None of 1 inner measures is significantly associated with the score")


def test_of_too_few_models_nothing_is_said_but_what_placebos_reach() -> None:
    rows = [*associated("a", 1.0, NAN, models=3),
            *associated("change of weights", 1.0, NAN, models=3, placebo=True)]  # fmt: skip
    few, placebos = findings(association_findings, rows, "accuracy")
    assert few.startswith("With 3 independent models, nothing can be concluded about models")
    assert placebos.endswith("change of weights, ρ = 1.00.")
    alike = findings(association_findings, associated("a", NAN, NAN), "accuracy")
    assert alike == [
        "Scores do not differ between models within training fractions: nothing to test."
    ]


def test_the_whole_has_every_task_and_says_where_there_is_nothing() -> None:
    tables: dict[str, list[Row]] = {
        "scores": [score("bert", 100, 0.8, 0.02)],
        "significance": [],
        "error_analysis": [],
        "probes": [],
        "similarity": [],
        "heads": [],
        "association": [],
    }
    text = whole(tables)
    assert text.startswith("# Study demo")
    assert "## t\n" in text
    assert text.count("Nothing that an interval supports.") == 6
    assert "\n- **bert** has the highest score" in text
    assert "- bert is small.\n" in whole(tables, {"bert": "is small"})
    assert "entities" not in text  # the task has none
    gap = evaluated("f1_gap", "bert", 0.4, 0.1)
    sides = [evaluated(f"f1_{side}", "bert", 0.5, 0.1) for side in ("seen", "unseen")]
    text = whole({**tables, "error_analysis": [gap, *sides]})
    assert "### Seen and unseen entities\n\n- F1 of seen entities is higher" in text
