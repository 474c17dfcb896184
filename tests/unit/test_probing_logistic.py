"""Logistic regressions that are fitted together, against scikit-learn's, each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from layerscope.analysis.probing.draws import draw_weights
from layerscope.analysis.probing.linear import FOLDS, GRID, fit_linear, predict_linear
from layerscope.analysis.probing.logistic import Problems, fit, minimise, principal_axes


def vectors_of(rows: int, width: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised vectors with a signal, of directions that differ in size a thousandfold."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    hidden = rng.normal(size=(rows, width)) * np.logspace(0, -3, width)
    hidden[:, :3] += rng.normal(size=(classes, 3))[labels]
    vectors = hidden @ rng.normal(size=(width, width))
    return ((vectors - vectors.mean(axis=0)) / vectors.std(axis=0)).astype(np.float32), labels


def exact(vectors: np.ndarray, labels: np.ndarray, c: float) -> LogisticRegression:
    model = LogisticRegression(C=c, tol=1e-9, max_iter=20000)
    return model.fit(vectors.astype(np.float64), labels)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize(("rows", "width"), [(400, 20), (60, 100)])
@pytest.mark.parametrize("c", [0.01, 1.0])
def test_the_minimum_is_scikit_learns(classes: int, rows: int, width: int, c: float) -> None:
    vectors, labels = vectors_of(rows, width, classes, seed=classes)
    sets = [labels, np.random.default_rng(0).permutation(labels)]
    parameters, steps = fit(vectors, sets, classes, c)
    assert steps < 200
    for own, codes in zip(parameters, sets, strict=True):
        model = exact(vectors, codes, c)
        weights = own[:, :-1] - own[:, :-1].mean(axis=0)
        intercepts = own[:, -1] - own[:, -1].mean()
        both = np.concatenate([model.coef_, model.intercept_[:, None]], axis=1)
        expected = both if classes > 2 else np.concatenate([-both, both]) / 2
        np.testing.assert_allclose(weights, expected[:, :-1], atol=2e-4)
        np.testing.assert_allclose(intercepts, expected[:, -1], atol=5e-4)


def test_the_answers_of_the_probe_are_the_exact_ones() -> None:
    vectors, labels = vectors_of(3000, 60, 4, seed=0)
    train, test = vectors[:1500], vectors[1500:]
    (found,) = predict_linear(train, [labels[:1500]], test, 1.0, 200)
    expected = exact(train, labels[:1500], 1.0).predict(test.astype(np.float64))
    np.testing.assert_array_equal(found, expected)


def test_sets_do_not_touch_each_other() -> None:
    """Together or alone, and with other numbers of classes, whatever their names are."""
    vectors, labels = vectors_of(300, 15, 4, seed=1)
    sets = [labels, 10 * (labels % 2) + 3, (labels + 1) % 4, np.full(300, 7)]
    together = predict_linear(vectors, sets, vectors, 1.0, 200)
    for codes, found in zip(sets, together, strict=True):
        (alone,) = predict_linear(vectors, [codes], vectors, 1.0, 200)
        assert np.mean(found == alone) > 0.99
        assert set(found) <= set(codes)
    assert np.mean(together[0] == labels) > 0.5
    assert np.mean(together[1] == sets[1]) > 0.5


def test_columns_that_repeat_or_say_nothing_are_no_obstacle() -> None:
    vectors, labels = vectors_of(200, 10, 3, seed=2)
    wide = np.concatenate([vectors, vectors, np.zeros((200, 5), np.float32)], axis=1)
    (found,) = predict_linear(wide, [labels], wide, 1.0, 200)
    assert np.mean(found == exact(wide, labels, 1.0).predict(wide.astype(np.float64))) > 0.99


def test_the_same_bytes_again_and_a_log_line_if_it_does_not_converge(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vectors, labels = vectors_of(300, 30, 3, seed=3)
    first, steps = fit(vectors, [labels], 3)
    again, _ = fit(vectors, [labels], 3)
    np.testing.assert_array_equal(first, again)
    with caplog.at_level("INFO"):
        predict_linear(vectors, [labels], vectors, 1.0, steps - 1)
    assert "not converged" in caplog.text


def test_parts_of_the_rows_are_fitted_as_if_the_others_were_not_there() -> None:
    vectors, labels = vectors_of(300, 12, 3, seed=4)
    kept = np.arange(300) % 3 != np.arange(2)[:, None]
    problems = Problems(principal_axes(vectors), [labels, labels], 3, 0.1, kept)
    axes = principal_axes(vectors)
    found = axes.parameters(minimise(problems, 200, 1e-6)[0])
    for own, rows in zip(found, kept, strict=True):
        alone, _ = fit(vectors[rows], [labels[rows]], 3, 0.1)
        np.testing.assert_allclose(own[:, :-1], alone[0][:, :-1], atol=2e-4)


def test_a_row_that_counts_twice_is_as_two_rows() -> None:
    vectors, labels = vectors_of(300, 12, 3, seed=4)
    weights = draw_weights([f"g{row // 3}" for row in range(300)], 2)
    problems = Problems(principal_axes(vectors), [labels, labels], 3, 0.1, weights)
    axes = principal_axes(vectors)
    found = axes.parameters(minimise(problems, 200, 1e-6)[0])
    for own, counts in zip(found, weights, strict=True):
        rows = np.repeat(np.arange(300), counts.astype(int))
        assert len(rows) == 300
        alone, _ = fit(vectors[rows], [labels[rows]], 3, 0.1)
        np.testing.assert_allclose(own[:, :-1], alone[0][:, :-1], atol=2e-4)


def test_draws_are_whole_groups_and_the_same_ones_again() -> None:
    groups = [f"g{row % 7}" for row in range(70)]
    weights = draw_weights(groups, 400)
    assert weights.shape == (400, 70)
    assert (weights.reshape(400, 10, 7) == weights[:, None, :7]).all()
    assert (weights[:, :7].sum(axis=1) == 7).all()
    np.testing.assert_allclose(weights[:, :7].var(axis=0), 6 / 7, rtol=0.3)
    np.testing.assert_array_equal(draw_weights(groups, 3), draw_weights(groups, 3))


@pytest.mark.parametrize("width", [12, 400])
def test_probes_of_draws_answer_as_if_fitted_to_the_drawn_rows(width: int) -> None:
    """With the penalty of all rows, as scikit-learn would; also with more columns than rows."""
    vectors, labels = vectors_of(500, width, 3, seed=6)
    train, test, known = vectors[:300], vectors[300:], labels[:300]
    groups = [f"g{row // 3}" for row in range(300)]
    answers = predict_linear(train, [known], test, 0.01, 200, groups, draws=3)
    assert len(answers) == 4
    for own, counts in zip(answers[1:], draw_weights(groups, 3), strict=True):
        rows = np.repeat(np.arange(300), counts.astype(int))
        expected = exact(train[rows], known[rows], 0.01).predict(test.astype(np.float64))
        assert np.mean(own == expected) > 0.98
    assert len({answer.tobytes() for answer in answers}) == 4


def test_a_draw_without_a_class_never_answers_it() -> None:
    vectors, labels = vectors_of(40, 5, 2, seed=7)
    labels[:] = 0
    labels[0] = 1
    answers = predict_linear(vectors, [labels], vectors, 1.0, 200, draws=8)
    there = draw_weights([str(row) for row in range(40)], 8)[:, 0] > 0
    assert 0 < there.sum() < 8
    for own, held in zip(answers[1:], there, strict=True):
        assert held or not own.any()
    assert not np.any(predict_linear(vectors, [labels * 0], vectors, 1.0, 200, draws=2))


def grouped(signal: float, groups: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows of which the five of a group are nearly the same; a class a group."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(3, size=groups), 5)
    centres = signal * np.eye(3, 40)
    own = np.repeat(rng.normal(size=(groups, 40)), 5, axis=0)
    vectors = centres[labels] + own + 0.01 * rng.normal(size=own.shape)
    return vectors.astype(np.float32), labels, [f"g{row // 5}" for row in range(len(labels))]


def test_c_is_the_one_that_scikit_learn_s_folds_choose() -> None:
    vectors, labels, groups = grouped(1.5, 60, seed=0)
    (found,) = fit_linear(vectors, [labels], None, 200, groups)
    ids = np.unique(groups, return_inverse=True)[1]
    part = np.random.default_rng(0).permutation(60)[ids] % FOLDS
    losses = []
    for c in GRID:
        loss = 0.0
        for fold in range(FOLDS):
            seen = part != fold
            model = exact(vectors[seen], labels[seen], c)
            shares = model.predict_proba(vectors[~seen].astype(np.float64))
            mixed = (seen.sum() * shares + 1 / 3) / (seen.sum() + 1)
            loss -= np.log(mixed[np.arange((~seen).sum()), labels[~seen]]).sum()
        losses.append(loss)
    assert found.inverse_regularisation == GRID[int(np.argmin(losses))]


def test_groups_are_held_out_whole_and_noise_gets_the_strongest_penalty() -> None:
    """Rows of a group, held out one by one, are as good as seen: the penalty would vanish."""
    vectors, labels, groups = grouped(0.0, 60, seed=1)
    (whole,) = fit_linear(vectors, [labels], None, 200, groups)
    (split,) = fit_linear(vectors, [labels], None, 200)
    assert whole.inverse_regularisation <= GRID[1]
    assert split.inverse_regularisation >= GRID[-2]
