"""Online code length: closed forms, planted signals, and scikit-learn's probabilities."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from layerscope.analysis.probing.codelength import (
    CodeLength,
    block_ends,
    frequency_code_length,
    online_code_lengths,
)

Array = np.ndarray


def planted(rows: int, strength: float, classes: int = 3) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=rows)
    centres = rng.normal(size=(classes, 10))
    vectors = rng.normal(size=(rows, 10)) + strength * centres[labels]
    return vectors.astype(np.float32), labels


def code(vectors: Array, labels: Array, classes: int = 3, c: float | None = 1.0) -> CodeLength:
    return online_code_lengths(vectors, [labels], classes, c, 500)[0]


def length(vectors: Array, labels: Array, classes: int = 3) -> float:
    return code(vectors, labels, classes).online


def test_blocks_end_where_voita_and_titov_end_them() -> None:
    ends = block_ends(10_000)
    assert ends == [10, 20, 40, 80, 160, 320, 625, 1250, 2500, 5000, 10_000]
    assert block_ends(3) == [1, 2, 3]
    assert block_ends(1) == [1]


def test_the_length_is_that_of_scikit_learns_probabilities() -> None:
    vectors, labels = planted(400, 0.7)
    ends = block_ends(400)
    expected = ends[0] * np.log2(3)
    for seen, end in pairwise(ends):
        names = np.unique(labels[:seen])
        shares = np.zeros((end - seen, 3))
        if len(names) == 1:
            shares[:, names] = 1
        else:
            model = LogisticRegression(tol=1e-8, max_iter=5000)
            model.fit(vectors[:seen].astype(np.float64), labels[:seen])
            shares[:, names] = model.predict_proba(vectors[seen:end])
        mixed = seen / (seen + 1) * shares + 1 / (seen + 1) / 3
        expected -= np.log2(mixed[np.arange(end - seen), labels[seen:end]]).sum()
    assert length(vectors, labels) == pytest.approx(expected, rel=0.01)


def test_a_stronger_signal_is_a_shorter_code() -> None:
    found = [code(*planted(600, strength)) for strength in (0.0, 0.5, 1.0, 3.0)]
    lengths = [each.online for each in found]
    assert lengths == sorted(lengths, reverse=True)
    assert found[-1].compression > 4


def test_the_code_of_frequencies_by_hand() -> None:
    """Blocks of 1, 1 and 2 labels of two classes: equal shares; (1 + 1/2) / 2; 1/2 twice."""
    assert block_ends(4) == [1, 2, 4]
    labels = np.asarray([0, 1, 0, 1])
    expected = 1 - np.log2(0.25) + 2
    assert frequency_code_length(labels, 2) == pytest.approx(expected)
    labels = np.asarray([0, 0, 0, 1])
    expected = 1 - np.log2(0.75) - np.log2((2 + 0.5) / 3) - np.log2(0.5 / 3)
    assert frequency_code_length(labels, 2) == pytest.approx(expected)


def test_vectors_without_width_compress_to_one() -> None:
    """A probe that has nothing but intercepts sends frequencies."""
    _, labels = planted(400, 0.0)
    found = code(np.zeros((400, 3), np.float32), labels, c=None)
    assert found.compression == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("shares", [(1 / 3, 1 / 3, 1 / 3), (0.9, 0.07, 0.03)])
@pytest.mark.parametrize("width", [10, 400])
def test_vectors_that_tell_nothing_compress_nothing(shares: tuple[float, ...], width: int) -> None:
    """Whatever the frequencies of labels, and with more columns than rows."""
    rng = np.random.default_rng(0)
    labels = rng.choice(3, p=shares, size=300)
    noise = rng.normal(size=(300, width)).astype(np.float32)
    assert code(noise, labels, c=None).compression == pytest.approx(1, abs=0.06)
    uniform = 300 * np.log2(3)
    assert (uniform / code(noise, labels, c=None).online > 1.5) == (shares[0] == 0.9)


def test_labels_that_are_all_the_same_cost_next_to_nothing() -> None:
    vectors, _ = planted(512, 0.0)
    constant = np.zeros(512, np.int64)
    # The first label has equal probabilities; then each block costs log(1 + 1/(2 seen)) a row.
    assert length(vectors, constant, 2) < 8


def test_a_class_that_comes_late_has_a_finite_length() -> None:
    vectors, labels = planted(300, 1.0)
    labels = np.where(np.arange(300) < 200, np.minimum(labels, 1), labels)
    assert np.isfinite(length(vectors, labels))


def test_several_sets_of_labels_are_each_as_alone() -> None:
    vectors, labels = planted(200, 1.0)
    other = np.random.default_rng(2).permutation(labels)
    both = [each.online for each in online_code_lengths(vectors, [labels, other], 3, 1.0, 500)]
    assert both == pytest.approx([length(vectors, labels), length(vectors, other)])
    assert both[0] < both[1]
