"""Findings on baselines, kinds of models, controls of probes, and on what is not supported."""

from __future__ import annotations

import pandas as pd
from summarised import Row, findings, frame
from test_summary import difference, gain, score

from layerscope.summary.controls import control_findings, reached_findings
from layerscope.summary.intervals import listed
from layerscope.summary.limits import limit_findings
from layerscope.summary.models import (
    architecture_findings,
    baseline_findings,
    domain_findings,
)

ROWS = [
    score("bert", 100, 0.80, 0.05),
    score("biobert", 100, 0.83, 0.05),
    score("gpt", 100, 0.40, 0.02),
    score("bag-of-words", 100, 0.55, 0.02),
]


def test_each_model_is_set_against_each_baseline() -> None:
    pairs = [
        difference("bag-of-words", "bert", 0.25, 0.01),
        difference("bag-of-words", "gpt", -0.15, 0.02),
        difference("bag-of-words", "biobert", 0.28, 0.07),
    ]
    (found,) = findings(baseline_findings, ROWS, "accuracy", pairs)
    assert found == (
        "The bag of words scores 0.550. Significantly above it: bert by 0.250 (0.230 to 0.270). "
        "Significantly below it: gpt by 0.150 (0.130 to 0.170). "
        "No significant difference from it: biobert."
    )
    (worse,) = findings(baseline_findings, ROWS, "accuracy", pairs[1:2])
    assert worse.startswith("The bag of words scores 0.550. No model is significantly above it.")
    assert worse.endswith("Not tested against it: bert and biobert.")
    (untested,) = findings(baseline_findings, ROWS, "accuracy", None)
    assert untested == (
        "The bag of words scores 0.550. Not tested against it: bert, biobert and gpt."
    )


def test_encoders_are_counted_against_decoders_with_a_caveat() -> None:
    pairs = [difference("bert", "gpt", -0.4, 0.01), difference("biobert", "gpt", -0.4, 0.2)]
    (found,) = findings(architecture_findings, ROWS, "accuracy", pairs)
    assert found == (
        "Of 2 pairs of an encoder and a decoder, the encoder scores significantly higher in 1 and "
        "the decoder in 0; 1 shows no significant difference. With 2 encoders and 1 decoder this "
        "does not show what the architecture does: they may also differ in size, tokenizer and "
        "pre-training data."
    )
    (untested,) = findings(architecture_findings, ROWS, "accuracy", None)
    assert untested.endswith("their differences are not tested.")
    (alone,) = findings(architecture_findings, ROWS[:2], "accuracy", pairs)
    assert alone.endswith("the study has one kind alone.")


def test_general_and_biomedical_models_are_compared_with_a_caveat() -> None:
    for value, words in ((0.03, "above"), (-0.03, "below")):
        found, caveat = findings(
            domain_findings, ROWS, "accuracy", [difference("bert", "biobert", value, 0.04)]
        )
        by = "0.030 (0.010 to 0.050)"
        assert found == f"The biomedical biobert scores {by} {words} the general bert."
        assert caveat.startswith("One pair does not show what biomedical pre-training does")
    alike, _ = findings(
        domain_findings, ROWS, "accuracy", [difference("bert", "biobert", 0.03, 0.05)]
    )
    assert alike == (
        "No significant difference between the biomedical biobert, 0.830 (0.780 to 0.880), and "
        "the general bert, 0.800 (0.750 to 0.850)."
    )
    untested, _ = findings(domain_findings, ROWS, "accuracy", None)
    assert untested.startswith("Not tested: the biomedical biobert")
    (none,) = findings(domain_findings, ROWS[1:3], "accuracy", None)
    assert none == "General and biomedical models are not compared: no architecture has both."
    (one,) = findings(domain_findings, ROWS[:1], "accuracy", None)
    assert one == "Domains are not compared: all models are general."
    legal = score("biobert", 100, 0.83, 0.05) | {"domain": "legal", "model": "lexbert"}
    *found, caveat = findings(domain_findings, [*ROWS, legal], "accuracy", None)
    assert [line.split(",")[0] for line in found] == [
        "Not tested: the biomedical biobert",
        "Not tested: the biomedical biobert",
        "Not tested: the legal lexbert",
    ]
    assert caveat.startswith("3 pairs do not show what a domain's text does")


def test_many_pairs_that_do_not_differ_share_a_sentence() -> None:
    copies = [f"copy-{number}" for number in range(6)]
    rows = [*ROWS[:1], *({**ROWS[1], "model": name} for name in copies)]
    p_values = [0.01, *[0.5] * 5]
    pairs = [difference("bert", name, 0.03, p) for name, p in zip(copies, p_values, strict=True)]
    one, alike, caveat = findings(domain_findings, rows, "accuracy", pairs)
    assert one.startswith("The biomedical copy-0 scores 0.030")
    assert alike == (
        "No significant difference in 5 of 6 pairs of a biomedical and a general encoder."
    )
    assert caveat.startswith("6 pairs do not show")


def probe(model: str, variant: str, view: str, metrics: dict[str, list[float]]) -> list[Row]:
    """Values of each metric by layer."""
    return [
        {"task": "t", "model": model, "variant": variant, "percent": 0, "seed": None,
         "probe": "linear", "view": view, "layer": layer, "metric": metric, "value": value}
        for metric, values in metrics.items()
        for layer, value in enumerate(values)
    ]  # fmt: skip


def test_random_weights_selectivity_and_compression_stand_beside_each_other() -> None:
    rows = [
        *probe("bert", "pretrained", "word",
               {"accuracy": [0.5, 0.7], "selectivity": [0.3, 0.2], "compression": [1.5, 1.2]}),
        *probe("bert", "random-s0", "word",
               {"accuracy": [0.7, 0.5], "selectivity": [0.2, 0.5], "compression": [1.0, 0.7]}),
        *probe("bert", "random-s1", "word",
               {"accuracy": [0.3, 0.5], "selectivity": [0.3, 0.0], "compression": [0.8, 0.9]}),
        *probe("gpt", "pretrained", "word",
               {"accuracy": [0.4, 0.3], "selectivity": [0.05, 0.2], "compression": [0.7, 1.0]}),
        *probe("gpt", "random-s0", "word", {"accuracy": [0.4, 0.45]}),
        *probe("gpt", "pretrained", "premise", {"accuracy": [0.9, 0.9]}),
    ]  # fmt: skip
    best, lower, caveat, selective, short, useless = findings(control_findings, rows, "accuracy")
    assert best == (
        "Best layer of the linear probe before fine-tuning, pre-trained against random weights: "
        "bert 0.700 against 0.600 and gpt 0.400 against 0.450."
    )
    assert lower.endswith("do not score above random ones: gpt, the linear probe.")
    assert caveat.startswith("Random weights are the mean of 2 draws and these differences are not")
    # At the layer with the best score, and not where selectivity is largest.
    assert selective.endswith("random weights: bert 0.200 against 0.100 and gpt 0.050.")
    assert short.endswith("random weights: bert 1.500 against 0.950 and gpt 1.000.")
    assert useless.endswith("no layer helps to code the labels: gpt, the linear probe.")
    plain = [row for row in rows if row["metric"] == "accuracy"]
    assert findings(control_findings, plain, "accuracy")[-2:] == [
        "Selectivity is not reported: no probe of this task has a control task.",
        "Compression is not reported: no probe of this task has a code length.",
    ]


def test_features_that_reach_the_fine_tuned_score_before_are_named() -> None:
    rows = [
        *probe("bert", "pretrained", "combined", {"accuracy": [0.5, 0.81]}),
        *probe("gpt", "pretrained", "joint", {"accuracy": [0.3, 0.2]}),
        *probe("gpt", "random-s0", "joint", {"accuracy": [0.9, 0.9]}),
    ]
    (found,) = findings(reached_findings, rows, ROWS, "accuracy")
    assert found.startswith(
        "Before fine-tuning, a probe already reaches the score of the model fine-tuned on 100 % of "
        "the data: bert, 0.810 (linear, combined, layer 1) against 0.800 (0.750 to 0.850). Before "
        "fine-tuning, no probe reaches the score of the model fine-tuned on 100 % of the data: "
        "gpt, 0.300 (linear, joint, layer 0) against 0.400 (0.380 to 0.420)."
    )
    assert "chosen on test data" in found
    assert findings(reached_findings, rows[:0], ROWS, "accuracy") == []


def limits(seeds: int, models: list[str], **tables: list[Row]) -> list[str]:
    rows = [
        score("bert", 100, 0.8, 0.1, seed) | {"model": model}
        for model in models
        for seed in range(seeds)
    ]
    own = {name: frame(table) for name, table in tables.items()}
    return limit_findings({"scores": pd.DataFrame(rows), **own})


def test_too_few_seeds_and_models_are_said_with_what_is_needed() -> None:
    pair = [difference("bert", "gpt", 0.1, None)]
    tests, probes, few = limits(1, ["bert", "gpt"], significance=pair)
    assert tests.startswith("No difference between scores can be claimed with 1 seed")
    assert "At least 2 seeds are needed, and 3 or more" in tests
    assert probes.startswith("With 1 seed nothing is said of how fine-tuning changes probes")
    assert few == (
        "With 2 independent models nothing follows about models in general: at least 6 are needed."
    )
    pair = [difference("bert", "gpt", 0.1, 0.2), gain("bert", 0.5, 0.1)]
    tests, _, _ = limits(2, ["bert", "gpt"], significance=pair)
    assert "With 2 seeds, intervals of differences between models reach 0.020" in tests
    assert tests.endswith("At least 3 seeds are needed to find any but large differences.")
    (alike,) = limits(3, list("abcdef"), significance=pair)
    assert alike.startswith("No significant difference does not mean that scores are alike.")
    (none,) = limits(3, list("abcdef"))
    assert none == "No difference between scores can be claimed: the study makes no tests."


def test_training_that_stayed_at_the_loss_of_guessing_is_named() -> None:
    training = [
        {"task": "t", "model": model, "percent": percent, "seed": seed, "steps": 12 + seed,
         "learned": model == "gpt" or percent == 100 or seed == 3}
        for model in ("bert", "gpt") for percent in (10, 100) for seed in (1, 2, 3)
    ]  # fmt: skip
    _, idle = limits(3, list("abcdef"), training=training)
    assert idle.endswith("say nothing about it: bert on 10 % (seeds 1 and 2; 13 to 14 steps).")
    learned = [row for row in training if row["learned"]]
    assert len(limits(3, list("abcdef"), training=learned)) == 1


def test_items_with_commas_are_parted_by_semicolons() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a, 1", "b"]) == "a, 1; and b"
