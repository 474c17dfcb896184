"""Metrics against scikit-learn and seqeval."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score as seqeval_f1
from sklearn.metrics import accuracy_score, f1_score

from layerscope.core.errors import UserError
from layerscope.statistics import metrics

NAMES = ["entailment", "neutral", "contradiction"]
TAGS = ["O", "B-DNA", "I-DNA", "B-cell-line", "I-cell-line"]
TYPES = ["DNA", "cell-line"]


def pairs(names: list[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    label = st.sampled_from(names)
    return st.lists(st.tuples(label, label), min_size=1, max_size=30)


sentences = st.lists(pairs(TAGS), min_size=1, max_size=6)


def flat(documents: list[list[tuple[str, str]]]) -> tuple[list[str], list[str], list[str]]:
    """True tags, predicted tags and sentence of every word."""
    words = [(a, b, f"s{i}") for i, words in enumerate(documents) for a, b in words]
    true, predicted, ids = zip(*words, strict=True)
    return list(true), list(predicted), list(ids)


@settings(deadline=None, max_examples=100)
@given(pairs(NAMES))
def test_nli_equals_scikit_learn(rows: list[tuple[str, str]]) -> None:
    true, predicted = (list(column) for column in zip(*rows, strict=True))
    values = metrics.values(metrics.example_metrics(true, predicted, NAMES))
    assert values["accuracy"] == pytest.approx(accuracy_score(true, predicted))
    assert values["macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro"))


@settings(deadline=None, max_examples=300)
@given(sentences)
def test_entity_f1_equals_seqeval_ill_formed_tags_included(
    documents: list[list[tuple[str, str]]],
) -> None:
    true, predicted, ids = flat(documents)
    values = metrics.values(metrics.ner_metrics(true, predicted, ids, TAGS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = seqeval_f1(
            [[a for a, _ in words] for words in documents],
            [[b for _, b in words] for words in documents],
        )
    assert values["entity_f1"] == pytest.approx(expected)


@settings(deadline=None, max_examples=100)
@given(sentences)
def test_token_macro_f1_equals_scikit_learn_without_o(
    documents: list[list[tuple[str, str]]],
) -> None:
    true, predicted, ids = flat(documents)
    value = metrics.values(metrics.ner_metrics(true, predicted, ids, TAGS))["token_macro_f1"]
    present = sorted({*true, *predicted} - {"O"})
    expected = (
        f1_score(true, predicted, labels=present, average="macro", zero_division=0)
        if present
        else 0.0
    )
    assert value == pytest.approx(expected)


def test_an_entity_does_not_run_into_the_next_sentence() -> None:
    true = ["B-DNA", "I-DNA", "I-DNA"]
    one = metrics.entity_counts(true, true, ["a", "a", "a"], TYPES)
    two = metrics.entity_counts(true, true, ["a", "a", "b"], TYPES)
    assert one[:, 0].tolist() == [1, 0, 0]
    assert two[:, 0].tolist() == [1, 0, 1]


def test_always_answering_o_scores_nothing() -> None:
    true = ["O"] * 9 + ["B-DNA"]
    values = metrics.values(metrics.ner_metrics(true, ["O"] * 10, ["s"] * 10, TAGS))
    assert values == {"entity_f1": 0.0, "token_macro_f1": 0.0}


def test_statistics_work_on_many_sums_at_once() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 5, size=(4, 6, 9)).astype(float)
    counts[0, 0] = 0
    for statistic in (metrics.accuracy_of, metrics.f1_of, metrics.macro_f1_of):
        together = statistic(counts)
        apart = [[float(statistic(row)) for row in block] for block in counts]
        assert together.shape == (4, 6)
        np.testing.assert_allclose(together, apart)
        assert together[0, 0] == 0


def test_no_words_at_all() -> None:
    assert metrics.entity_counts([], [], [], TYPES).shape == (0, 6)


def test_unknown_label_is_named() -> None:
    with pytest.raises(UserError, match="'maybe'; allowed: entailment, neutral, contradiction"):
        metrics.example_counts(["maybe"], ["neutral"], NAMES)
    with pytest.raises(UserError, match="RNA"):
        metrics.entity_counts(["B-RNA"], ["O"], ["s"], TYPES)
