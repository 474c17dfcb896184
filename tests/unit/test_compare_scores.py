"""Scores of two studies side by side, against closed forms and planted improvements."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_studies import LABELS, Codes, answers, nli

from layerscope.config.statistics import Statistics
from layerscope.core.formats import write_table
from layerscope.evaluation.prediction_files import Predictions, read_predictions
from layerscope.provenance.comparison.scores import compare_predictions

TAGS = ["O", "B-DNA", "I-DNA"]
SETTINGS = Statistics(resamples=2000)


@pytest.fixture
def predictions(tmp_path: Path) -> Callable[..., Predictions]:
    """Write predictions of pairs and read them."""
    count = iter(range(1000))

    def make(labels: Codes, predicted: Codes, **more: Any) -> Predictions:
        path = tmp_path / str(next(count)) / "f10-s1.parquet"
        return read_predictions(nli(path, labels, predicted, **more))

    return make


def mend(labels: Codes, predicted: Codes, count: int) -> Codes:
    """The same answers but for the first wrong ones, which become right."""
    mended = predicted.copy()
    rows = np.flatnonzero(labels != predicted)[:count]
    mended[rows] = labels[rows]
    return mended


def accuracy(
    a: dict[int, Predictions], b: dict[int, Predictions], settings: Statistics = SETTINGS
) -> dict[str, Any]:
    rows = {row["metric"]: row for row in compare_predictions(a, b, settings)}
    assert set(rows) == {"accuracy", "macro_f1"}
    return rows["accuracy"]


def width(row: dict[str, Any]) -> float:
    return row["high"] - row["low"]


@pytest.mark.parametrize(("count", "told"), [(1, False), (40, True)])
def test_a_planted_improvement_is_found(
    count: int, told: bool, predictions: Callable[..., Predictions]
) -> None:
    before = answers(LABELS, 0.6, 1)
    row = accuracy(
        {1: predictions(LABELS, before)},
        {1: predictions(LABELS, mend(LABELS, before, count))},
    )
    assert row["how"] == "paired"
    assert row["difference"] == pytest.approx(count / 400, abs=1e-12)
    assert row["b"] - row["a"] == pytest.approx(count / 400, abs=1e-12)
    assert row["low"] <= count / 400 <= row["high"]
    assert row["excludes_0"] is told
    # The share of mended answers is binomial, and its interval nearly normal.
    if told:
        half = 1.96 * sqrt(0.1 * 0.9 / 400)
        assert row["low"] == pytest.approx(0.1 - half, abs=0.006)
        assert row["high"] == pytest.approx(0.1 + half, abs=0.006)


def test_the_paired_interval_is_that_of_discordant_answers(
    predictions: Callable[..., Predictions],
) -> None:
    labels = np.random.default_rng(5).integers(3, size=2000)
    before, after = answers(labels, 0.6, 1), answers(labels, 0.65, 2)
    row = accuracy({1: predictions(labels, before)}, {1: predictions(labels, after)})
    change = (after == labels).astype(float) - (before == labels)
    half = 1.96 * change.std() / sqrt(len(labels))
    assert row["difference"] == pytest.approx(change.mean())
    assert row["low"] == pytest.approx(change.mean() - half, abs=0.004)
    assert row["high"] == pytest.approx(change.mean() + half, abs=0.004)


@pytest.mark.slow
def test_the_unpaired_interval_is_nearly_normal(predictions: Callable[..., Predictions]) -> None:
    labels_a, labels_b = (np.random.default_rng(n).integers(3, size=n) for n in (1500, 2500))
    row = accuracy(
        {1: predictions(labels_a, answers(labels_a, 0.7, 1))},
        {1: predictions(labels_b, answers(labels_b, 0.8, 2), ids="other")},
    )
    assert row["how"] == "unpaired"
    p, q = row["a"], row["b"]
    half = 1.96 * sqrt(p * (1 - p) / 1500 + q * (1 - q) / 2500)
    assert row["low"] == pytest.approx(q - p - half, abs=0.004)
    assert row["high"] == pytest.approx(q - p + half, abs=0.004)


def test_pairs_tell_more_than_the_same_answers_unpaired(
    predictions: Callable[..., Predictions],
) -> None:
    before = answers(LABELS, 0.6, 1)
    after = mend(LABELS, before, 20)
    a = {1: predictions(LABELS, before)}
    paired = accuracy(a, {1: predictions(LABELS, after)})
    unpaired = accuracy(a, {1: predictions(LABELS, after, ids="other")})
    assert (paired["how"], unpaired["how"]) == ("paired", "unpaired")
    assert paired["difference"] == pytest.approx(unpaired["difference"])
    assert width(paired) < 0.5 * width(unpaired)
    assert paired["excludes_0"]
    assert not unpaired["excludes_0"]


def test_equal_answers_differ_by_nothing(predictions: Callable[..., Predictions]) -> None:
    sides = [{s: predictions(LABELS, answers(LABELS, 0.6, s)) for s in (1, 2)} for _ in range(2)]
    for row in compare_predictions(sides[0], sides[1], SETTINGS):
        assert (row["difference"], row["low"], row["high"]) == (0, 0, 0)
        assert not row["excludes_0"]


def test_the_order_of_rows_does_not_matter(predictions: Callable[..., Predictions]) -> None:
    before, after = answers(LABELS, 0.6, 1), answers(LABELS, 0.7, 2)
    order = np.random.default_rng(3).permutation(len(LABELS))
    a = {1: predictions(LABELS, before)}
    assert compare_predictions(
        a, {1: predictions(LABELS, after, order=order)}, SETTINGS
    ) == compare_predictions(a, {1: predictions(LABELS, after)}, SETTINGS)


def test_one_other_label_makes_other_examples(predictions: Callable[..., Predictions]) -> None:
    other = LABELS.copy()
    other[0] = (other[0] + 1) % 3
    answer = answers(LABELS, 0.6, 1)
    row = accuracy({1: predictions(LABELS, answer)}, {1: predictions(other, answer)})
    assert row["how"] == "unpaired"


def test_seeds_that_both_have_are_paired(predictions: Callable[..., Predictions]) -> None:
    given = {s: predictions(LABELS, answers(LABELS, 0.5 + s / 10, s)) for s in (1, 2, 3)}
    row = accuracy({s: given[s] for s in (1, 2)}, {2: given[3], 3: given[1]})
    assert (row["how"], row["seeds_a"], row["seeds_b"]) == ("paired", [2], [2])
    alone = accuracy({1: given[2]}, {1: given[3]})
    assert {k: row[k] for k in ("a", "b", "difference", "low", "high")} == {
        k: alone[k] for k in ("a", "b", "difference", "low", "high")
    }
    apart = accuracy({s: given[s] for s in (1, 2)}, {3: given[3]})
    assert (apart["how"], apart["seeds_a"], apart["seeds_b"]) == ("unpaired", [1, 2], [3])
    first = accuracy({1: given[1]}, {1: given[2]})["a"]
    assert apart["a"] == pytest.approx((first + alone["a"]) / 2)


def test_a_resample_draws_the_same_seeds_of_both(predictions: Callable[..., Predictions]) -> None:
    # Seeds far apart, each mended at the same 40 places: seeds say nothing of the difference.
    poor = np.where(np.arange(400) < 360, (LABELS + 1) % 3, LABELS)
    good = np.where(np.arange(400) < 40, (LABELS + 1) % 3, LABELS)
    a = {1: predictions(LABELS, poor), 2: predictions(LABELS, good)}
    b = {
        1: predictions(LABELS, mend(LABELS, poor, 40)),
        2: predictions(LABELS, mend(LABELS, good, 40)),
    }
    both = accuracy(a, b)
    assert both["difference"] == pytest.approx(0.1)
    assert width(both) == pytest.approx(width(accuracy({1: a[1]}, {1: b[1]})))
    apart = accuracy(a, {seed + 2: file for seed, file in b.items()})
    assert width(apart) > 5 * width(both)


def test_sentences_are_compared_by_entities(tmp_path: Path) -> None:
    tags = np.asarray(["B-DNA", "I-DNA", "O", "O", "B-DNA"] * 60)
    broken = tags.copy()
    broken[1::50] = "O"  # the end of every tenth sentence's first entity: 6 of 120 are lost
    files = []
    for name, predicted in (("a", broken), ("b", tags)):
        path = tmp_path / name / "f10-s1.parquet"
        columns = {
            "example_id": [f"s{i // 5}" for i in range(300)],
            "group_id": [f"s{i // 5}" for i in range(300)],
            "word_index": [i % 5 for i in range(300)],
            "label": tags.tolist(),
            "predicted": predicted.tolist(),
            "probabilities": [[1.0] * 3] * 300,
        }
        described = {"task": "t", "model": "m", "variant": "f10-s1", "kind_of_task": "ner"}
        write_table(path, "predictions", columns, {**described, "labels": TAGS})
        files.append(read_predictions(path))
    rows = {r["metric"]: r for r in compare_predictions({1: files[0]}, {1: files[1]}, SETTINGS)}
    assert rows["entity_f1"]["b"] == 1
    assert rows["entity_f1"]["difference"] == pytest.approx(6 / 120)  # P = R = 114 / 120
    assert rows["entity_f1"]["excludes_0"]
    assert set(rows) == {"entity_f1", "token_macro_f1"}
