"""Linear and SVM probes, scaling and controls against scikit-learn and planted signals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from layerscope.analysis.probing.controls import halves, word_type_labels
from layerscope.analysis.probing.draws import draw_weights
from layerscope.analysis.probing.features import combined, standardise
from layerscope.analysis.probing.linear import predict_linear
from layerscope.analysis.probing.svm import (
    STRIP,
    kernels_on,
    make_room,
    predict_svm,
    rbf_kernels,
)


def planted(rows: int, width: int, strength: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors with three classes around fixed centres, and the classes."""
    centres = np.random.default_rng(99).normal(size=(3, width))
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=rows)
    vectors = rng.normal(size=(rows, width)) + strength * centres[labels]
    return vectors.astype(np.float32), labels


def test_standardise_equals_scikit_learn_and_learns_from_training_rows_only() -> None:
    train, _ = planted(50, 6, 1.0, 0)
    train = train * np.float32([1, 1e-3, 1e3, 1, 1, 1]) + 5
    test = train[:7] * 3 + 100
    ours, ours_test = standardise(train, test)
    scaler = StandardScaler().fit(train.astype(np.float64))
    np.testing.assert_allclose(ours, scaler.transform(train.astype(np.float64)), atol=2e-3)
    np.testing.assert_allclose(ours_test, scaler.transform(test.astype(np.float64)), rtol=1e-3)
    assert ours.dtype == ours_test.dtype == np.float32
    np.testing.assert_array_equal(standardise(train, test[:2])[0], ours)


@pytest.mark.parametrize("constant", [0.0, 0.1, -300.0])
def test_a_constant_feature_becomes_zero_whatever_the_test_rows_hold(constant: float) -> None:
    train, _ = planted(30, 3, 1.0, 0)
    train[:, 1] = constant
    ours, test = standardise(train, train + 1)
    assert (ours[:, 1] == 0).all()
    assert (test[:, 1] == 0).all()


def test_linear_probe_agrees_with_converged_scikit_learn() -> None:
    train, labels = planted(300, 20, 0.4, 0)
    test, _ = planted(300, 20, 0.4, 1)
    train, test = standardise(train, test)
    reference = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(
        train.astype(np.float64), labels
    )
    (found,) = predict_linear(train, [labels], test, 0.5, 200)
    assert np.mean(found == reference.predict(test)) >= 0.99


def test_linear_probe_does_not_depend_on_the_scale_of_features() -> None:
    train, labels = planted(200, 10, 0.5, 0)
    test, _ = planted(200, 10, 0.5, 1)
    scale = np.float32(10.0) ** np.arange(-4, 6, dtype=np.float32)
    (plain,) = predict_linear(*_probe(train, labels, test), 1.0, 200)
    (scaled,) = predict_linear(*_probe(train * scale, labels, test * scale), 1.0, 200)
    assert np.mean(plain == scaled) >= 0.99


def _probe(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    scaled, scaled_test = standardise(train, test)
    return scaled, [labels], scaled_test


def kernels(train: list[np.ndarray], test: list[np.ndarray]) -> list[tuple[np.ndarray, ...]]:
    room = make_room(len(train[0]), len(test[0]), len(train))
    return list(rbf_kernels(train, test, room))


@pytest.mark.parametrize("device", [None, "cpu"], ids=["numpy", "a device"])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_kernels_of_all_parts_and_of_each_are_scikit_learns(parts: int, device: str | None) -> None:
    train, labels = planted(120, 30, 0.3, 0)
    test, _ = planted(150, 30, 0.3, 1)
    train, test = train + 40, test + 40  # far from the origin, where differences round most
    train[:, :5] *= 3  # parts of other scales, and of other widths
    test[:, :5] *= 3
    cut, other_cut = (np.split(each, [5, 12][: parts - 1], axis=1) for each in (train, test))
    pieces = list(zip([train, *cut], [test, *other_cut], strict=True))[: parts + 1]
    pieces = pieces if parts > 1 else pieces[:1]
    found = list(kernels_on(device, cut, other_cut)) if device else kernels(cut, other_cut)
    answers = predict_svm(cut, labels, other_cut, 1.0, device=device)
    assert len(found) == len(answers) == len(pieces)
    for (inner, outer), answer, (rows, others) in zip(found, answers, pieces, strict=True):
        exact, other_exact = rows.astype(np.float64), others.astype(np.float64)
        gamma = 1 / (rows.shape[1] * exact.var())
        np.testing.assert_allclose(inner, rbf_kernel(exact, gamma=gamma), atol=1e-9)
        np.testing.assert_allclose(outer, rbf_kernel(other_exact, exact, gamma=gamma), atol=1e-9)
        reference = SVC().fit(exact, labels).predict(other_exact)
        np.testing.assert_array_equal(answer[0], reference)


@pytest.mark.parametrize("rows", [1, STRIP - 1, STRIP, 2 * STRIP + 3])
def test_kernels_are_symmetric_and_the_same_however_many_strips(rows: int) -> None:
    train = np.random.default_rng(rows).normal(3, 2, (rows, 7)).astype(np.float32)
    test = np.concatenate([train, train])
    for inner, outer in kernels(np.split(train, [3], axis=1), np.split(test, [3], axis=1)):
        np.testing.assert_array_equal(inner, inner.T)
        np.testing.assert_allclose(np.diag(inner), 1, atol=1e-12)
        np.testing.assert_allclose(outer, np.concatenate([inner, inner]), atol=1e-12)


def test_room_that_held_other_kernels_changes_no_answer() -> None:
    train, labels = planted(60, 8, 0.3, 0)
    test, _ = planted(40, 8, 0.3, 1)
    room = make_room(60, 40, 2)
    parts = [train[:, :3], train[:, 3:]], labels, [test[:, :3], test[:, 3:]]
    first = [answer.tolist() for answer in predict_svm(*parts, 1.0, room)]
    assert [answer.tolist() for answer in predict_svm(*parts, 1.0, room)] == first


def test_svm_finds_what_a_line_cannot() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 2)).astype(np.float32)
    labels = (vectors[:, 0] * vectors[:, 1] > 0).astype(np.int64)
    train, test = vectors[:300], vectors[300:]
    assert np.mean(predict_svm([train], labels[:300], [test], 1.0)[0][0] == labels[300:]) > 0.9
    (by_a_line,) = predict_linear(train, [labels[:300]], test, 1.0, 200)
    assert np.mean(by_a_line == labels[300:]) < 0.65


def test_a_single_class_is_predicted_throughout() -> None:
    train, test = np.ones((3, 2), np.float32), np.zeros((4, 2), np.float32)
    for predicted in (
        predict_linear(train, [np.full(3, 2)], test, 1.0, 10)[0],
        predict_svm([train], np.full(3, 2), [test], 1.0)[0][0],
    ):
        assert predicted.tolist() == [2, 2, 2, 2]


def test_control_labels_belong_to_word_types_and_follow_the_distribution() -> None:
    rng = np.random.default_rng(0)
    train = [f"w{i}" for i in rng.integers(2000, size=6000)]
    test = [f"w{i}" for i in rng.integers(1000, 3000, size=6000)]
    labels = rng.choice(3, size=6000, p=[0.7, 0.2, 0.1])
    control, test_control = word_type_labels(train, labels, test, seed=1)
    seen: dict[str, int] = {}
    for word, label in zip([*train, *test], [*control, *test_control], strict=True):
        assert seen.setdefault(word, int(label)) == label
    shares = np.bincount(list(seen.values()), minlength=3) / len(seen)
    np.testing.assert_allclose(shares, [0.7, 0.2, 0.1], atol=0.04)
    # A word's random label says nothing about its own one.
    assert abs(np.mean(control == labels) - (0.49 + 0.04 + 0.01)) < 0.04


def test_control_labels_depend_on_the_seed_and_not_on_the_order_of_words() -> None:
    words, labels = [f"w{i}" for i in range(200)], np.arange(200) % 4
    first = word_type_labels(words, labels, words[:50], seed=1)
    again = word_type_labels(words, labels, words[:50], seed=1)
    other = word_type_labels(words, labels, words[:50], seed=2)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], first[0][:50])
    assert (first[0] != other[0]).any()
    reordered = word_type_labels(words[::-1], labels, words[:50], seed=1)
    np.testing.assert_array_equal(reordered[0][::-1], first[0])


def test_halves_of_a_separate_view() -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(2, 6)
    parts = halves(vectors, "separate")
    assert list(parts) == ["separate", "premise", "hypothesis"]
    assert parts["premise"].tolist() == [[0, 1, 2], [6, 7, 8]]
    assert parts["hypothesis"].tolist() == [[3, 4, 5], [9, 10, 11]]
    assert list(halves(vectors, "joint")) == ["joint"]
    last = halves(vectors, "separate-last")
    assert list(last) == ["separate-last", "premise-last", "hypothesis-last"]
    assert last["hypothesis-last"].tolist() == parts["hypothesis"].tolist()


def test_combined_features_in_closed_form() -> None:
    pairs = np.float32([[1, -2, 4, 0.5], [0, 3, -1, -3]])
    expected = [[1, -2, 4, 0.5, 3, 2.5, 4, -1], [0, 3, -1, -3, 1, 6, 0, -9]]
    found = combined(pairs)
    assert found.tolist() == expected
    assert found.dtype == np.float32


def test_machines_of_draws_answer_as_if_fitted_to_the_drawn_rows() -> None:
    """Halves too; scikit-learn's machines on rows that occur as often as they were drawn."""
    rng = np.random.default_rng(5)
    labels = rng.integers(3, size=200)
    vectors = (rng.normal(size=(200, 12)) + np.eye(3, 12)[labels]).astype(np.float32)
    cut, other_cut = np.split(vectors[:120], 2, axis=1), np.split(vectors[120:], 2, axis=1)
    known = labels[:120]
    weights = draw_weights([f"g{row // 2}" for row in range(120)], 3)
    found = predict_svm(cut, known, other_cut, 1.0, weights=weights)
    parts = [[np.hstack(cut), np.hstack(other_cut)], *zip(cut, other_cut, strict=True)]
    for answers, (train, test) in zip(found, parts, strict=True):
        gamma = 1 / (train.shape[1] * train.astype(np.float64).var())
        for own, counts in zip(answers, [np.ones(120), *weights], strict=True):
            rows = np.repeat(np.arange(120), counts.astype(int))
            expected = SVC(gamma=gamma).fit(train[rows], known[rows]).predict(test)
            assert np.mean(own == expected) > 0.97
