"""Shared neighbours and Procrustes against scikit-learn, SciPy, closed forms and all shuffles."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes as scipy_procrustes
from sklearn.neighbors import NearestNeighbors

from layerscope.analysis.alignment import (
    NEIGHBOURS,
    aligned,
    calibrated,
    mutual_knn,
    mutual_knn_null,
    nearest,
    procrustes,
)
from layerscope.analysis.similarity import cka

Array = np.ndarray


def normal(rows: int, width: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, width))


def test_neighbours_are_those_of_scikit_learn() -> None:
    x = normal(300, 6, 0) + 0.5  # more rows than are compared at a time
    reference = NearestNeighbors(n_neighbors=7, metric="cosine").fit(x).kneighbors()[1]
    assert (np.sort(nearest(x, 7)) == np.sort(reference)).all()


def test_of_equal_vectors_the_earlier_rows_are_neighbours() -> None:
    x = np.repeat(normal(3, 5, 0), 4, axis=0)
    assert sorted(nearest(x, 2)[5]) == [4, 6]


def test_procrustes_is_that_of_scipy() -> None:
    x, y = normal(40, 6, 0) + 2, normal(40, 6, 1)
    y += x
    assert 1 - procrustes(x, y)[0] ** 2 == pytest.approx(scipy_procrustes(x, y)[2])
    x, y = (z - z.mean(axis=0) for z in (x, y))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    turn, scale = orthogonal_procrustes(x, y)
    assert procrustes(x, y)[0] == pytest.approx(scale)
    assert procrustes(x, y)[0] == pytest.approx(1 - np.linalg.norm(x @ turn - y) ** 2 / 2)


def test_fewer_examples_than_dimensions_are_turned_into_as_few() -> None:
    x, y = normal(12, 30, 0), normal(12, 5, 1)
    expected = np.linalg.norm((x - x.mean(axis=0)).T @ (y - y.mean(axis=0)), "nuc")
    expected /= np.linalg.norm(x - x.mean(axis=0)) * np.linalg.norm(y - y.mean(axis=0))
    assert procrustes(x, y)[0] == pytest.approx(expected)


@pytest.mark.parametrize("width", [6, 80])
def test_turned_and_scaled_vectors_are_the_same(width: int) -> None:
    x = normal(50, width, 0)
    found = aligned(x, 3.5 * x @ np.linalg.qr(normal(width, width, 1))[0])
    assert found["mutual_knn"] == pytest.approx(1)
    assert found["procrustes"] == pytest.approx(1)


def test_unrelated_vectors_have_none_however_wide() -> None:
    """Raw, Procrustes of wide ones is nearly 1."""
    for width in (10, 400):
        pairs = [(normal(60, width, 2 * i), normal(60, width, 2 * i + 1)) for i in range(20)]
        raw = [mutual_knn(x, y) for x, y in pairs]
        error = 3 * np.std(raw) / np.sqrt(len(raw))
        assert np.mean(raw) == pytest.approx(NEIGHBOURS / 59, abs=error)
        found = [aligned(x, y)["procrustes"] for x, y in pairs]
        assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert procrustes(*pairs[0])[0] > 0.9


def test_the_mean_over_all_shuffles_is_the_null() -> None:
    """Of debiased CKA it is 0, so that it needs no calibration."""
    x, y = normal(6, 2, 0), normal(6, 3, 1)
    y[:, :2] += x
    shuffles = [list(order) for order in permutations(range(6))]
    assert np.mean([cka(x, y[order]) for order in shuffles]) == pytest.approx(0, abs=1e-12)
    found = np.mean([mutual_knn(x, y[order], 2) for order in shuffles])
    assert found == pytest.approx(mutual_knn_null(6, 2))
    every = np.mean([procrustes(x, y[order], 1)[0] for order in shuffles])
    assert procrustes(x, y, 500)[1] == pytest.approx(every, abs=0.02)
    assert procrustes(x, y) == procrustes(x, y)


def test_what_has_no_variance_or_too_few_examples_has_no_value() -> None:
    assert np.isnan([*aligned(np.ones((30, 3)), normal(30, 3, 0)).values()]).all()
    assert np.isnan([*aligned(normal(11, 3, 0), normal(11, 3, 1)).values()]).all()
    assert np.isnan(calibrated(1, 1))
    assert calibrated(0.6, 0.2) == pytest.approx(0.5)
