"""Similarity against matrices of examples x examples, closed forms and planted likenesses."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from layerscope.analysis.similarity import (
    Layers,
    anisotropy,
    are_near,
    cka,
    compare_models,
    hsic,
    measure_variant,
    same_depth,
)
from layerscope.core.errors import UserError
from layerscope.core.formats import ActivationWriter

Array = np.ndarray


def normal(rows: int, width: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, width))


def reference_hsic(x: Array, y: Array) -> float:
    """Song et al. (2012), equation 5, as it stands there: with both matrices of examples."""
    n = len(x)
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    ones = np.ones(n)
    found = np.trace(k @ m)
    found += (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
    found -= 2 / (n - 2) * (ones @ k @ m @ ones)
    return float(found / (n * (n - 3)))


def biased_cka(x: Array, y: Array) -> float:
    """Kornblith et al. (2019), equation for linear CKA in feature space."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return float(np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


@pytest.mark.parametrize(("rows", "widths"), [(4, (3, 2)), (30, (5, 7)), (12, (40, 20))])
def test_hsic_is_that_of_the_matrices_of_examples(rows: int, widths: tuple[int, int]) -> None:
    x, y = normal(rows, widths[0], 0) + 2, normal(rows, widths[1], 1)
    y[:, 0] += x[:, 0]
    assert hsic(x, y) == pytest.approx(reference_hsic(x, y), rel=1e-9)


def test_hsic_does_not_depend_on_where_the_origin_is() -> None:
    x, y = normal(20, 4, 0), normal(20, 3, 1)
    assert hsic(x + 5, y - 3) == pytest.approx(hsic(x, y), rel=1e-8)


def test_turned_scaled_and_shifted_vectors_are_the_same() -> None:
    x = normal(50, 6, 0)
    turn = np.linalg.qr(normal(6, 6, 1))[0]
    assert cka(x, 3.5 * x @ turn + 7) == pytest.approx(1, abs=1e-12)


def test_more_noise_is_less_likeness() -> None:
    x, noise = normal(200, 10, 0), normal(200, 10, 1)
    found = [cka(x, x + strength * noise) for strength in (0, 0.3, 1, 3)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(1)


def test_unrelated_vectors_have_none_where_the_plain_one_has_much() -> None:
    pairs = [(normal(40, 100, 2 * seed), normal(40, 100, 2 * seed + 1)) for seed in range(60)]
    debiased = [cka(x, y) for x, y in pairs]
    assert abs(np.mean(debiased)) < 3 * np.std(debiased) / np.sqrt(len(pairs))
    assert np.mean([biased_cka(x, y) for x, y in pairs]) > 0.6


def test_many_examples_need_no_correction() -> None:
    x = normal(5000, 5, 0)
    y = x @ normal(5, 4, 1) + normal(5000, 4, 2)
    assert cka(x, y) == pytest.approx(biased_cka(x, y), abs=2e-3)


def test_a_representation_without_variance_has_no_likeness() -> None:
    assert np.isnan(cka(np.ones((6, 3)), normal(6, 3, 0)))
    assert np.isnan(cka(normal(3, 2, 0), normal(3, 2, 1)))  # one too few for the estimator
    with pytest.raises(ValueError, match="6 and 5 examples"):
        cka(normal(6, 3, 0), normal(5, 3, 0))


def test_anisotropy_is_the_mean_cosine_of_all_pairs() -> None:
    x = normal(15, 4, 0) + 1
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = units @ units.T
    expected = cosines[~np.eye(15, dtype=bool)].mean()
    assert anisotropy(x) == pytest.approx(expected)
    assert anisotropy(np.ones((5, 3))) == pytest.approx(1)
    assert anisotropy(np.eye(5)) == pytest.approx(0)
    assert anisotropy(np.zeros((5, 3))) == 0


def test_a_common_direction_makes_a_cone_and_centring_undoes_it() -> None:
    x = normal(400, 50, 0) + 5
    assert anisotropy(x) > 0.9
    assert abs(anisotropy(x - x.mean(axis=0))) < 0.01


@pytest.mark.parametrize(
    ("layers", "others", "expected"),
    [
        (3, 3, [(0, 0), (1, 1), (2, 2)]),
        (3, 5, [(0, 0), (1, 2), (2, 4)]),
        (5, 3, [(0, 0), (2, 1), (4, 2)]),
        (7, 13, [(layer, 2 * layer) for layer in range(7)]),
        (1, 4, [(0, 0)]),
        (2, 4, [(0, 0), (1, 3)]),
    ],
)
def test_layers_meet_at_equal_depth(
    layers: int, others: int, expected: list[tuple[int, int]]
) -> None:
    assert same_depth(*(Layers(range(n), n - 1) for n in (layers, others))) == expected


def test_of_stored_layers_the_nearest_in_depth_meet() -> None:
    some, others = Layers([0, 4, 6], 6), Layers([0, 4, 8, 12, 15], 16)
    assert same_depth(some, others) == [(0, 0), (4, 12), (6, 15)]
    assert same_depth(others, some) == [(0, 0), (12, 4), (15, 6)]
    assert same_depth(Layers([1], 2), Layers([0, 1, 3], 4)) == [(1, 3)]  # of two as near, the later


def test_depths_are_near_wherever_all_layers_are_stored() -> None:
    for last, others in product(range(1, 30), repeat=2):
        pairs = same_depth(Layers(range(last + 1), last), Layers(range(others + 1), others))
        deeper = max(last, others)
        assert all(are_near(a / last, b / others, deeper) for a, b in pairs), (last, others)
    assert not are_near(1.0, 0.5, 12)


def written(
    path: Path, layers: list[Array], names: list[str] | None = None, view: str = "joint"
) -> Path:
    count, width = layers[0].shape
    names = names or [f"e{row}" for row in range(count)]
    described = {"task": "t", "model": "m", "variant": "pretrained", "view": view, "labels": []}
    keys = {
        "example_id": names,
        "group_id": names,
        "word_index": [0] * count,
        "word": [""] * count,
        "label": ["a"] * count,
    }
    with ActivationWriter(path, len(layers), width, "float32", described) as writer:
        writer.write(keys, np.stack(layers, axis=1).astype(np.float32))
    return path


def test_the_layer_that_moved_is_the_one_that_is_found(tmp_path: Path) -> None:
    before = [normal(60, 8, seed) + 1 for seed in range(3)]
    after = [before[0], before[1], before[2] + 2 * normal(60, 8, 9)]
    paths = [written(tmp_path / f"{i}.parquet", each) for i, each in enumerate((before, after))]
    rows = list(measure_variant(paths[1], paths[0]))
    found = {(row["layer"], row["measure"]): row["value"] for row in rows}
    assert len(found) == len(rows) == 3 * 7
    assert found[0, "cka"] == pytest.approx(1)
    assert found[1, "cka"] == pytest.approx(1)
    assert found[2, "cka"] == pytest.approx(cka(before[2], after[2]), rel=1e-4)
    assert found[2, "cka"] < 0.6
    for measure in ("mutual_knn", "procrustes"):
        assert found[1, measure] == pytest.approx(1)
        assert found[2, measure] < 0.6
    assert found[2, "anisotropy"] == pytest.approx(anisotropy(after[2]), rel=1e-4)
    alone = {row["measure"] for row in measure_variant(paths[0], None)}
    assert alone == {"anisotropy", "anisotropy_centred"}


def test_models_are_compared_pair_by_pair_whatever_their_layers_and_widths(tmp_path: Path) -> None:
    small = [normal(30, 4, seed) for seed in range(3)]
    turn = normal(4, 7, 5)
    large = [small[0] @ turn, normal(30, 7, 6), small[1] @ turn, normal(30, 7, 7), small[2] @ turn]
    paths = {
        "small": written(tmp_path / "small.parquet", small),
        "large": written(tmp_path / "large.parquet", large),
        "other": written(tmp_path / "other.parquet", [normal(30, 4, 20 + s) for s in range(3)]),
    }
    rows = list(compare_models(paths))
    assert {(row["model"], row["other"]) for row in rows} == {
        ("small", "large"),
        ("small", "other"),
        ("large", "other"),
    }
    planted = [r for r in rows if (r["other"], r["measure"]) == ("large", "cka")]
    assert [(row["layer"], row["other_layer"]) for row in planted] == [(0, 0), (1, 2), (2, 4)]
    assert [row["depth"] for row in planted] == [0, 0.5, 1]
    for measure, most in (("cka", 0.4), ("mutual_knn", 0.2), ("procrustes", 0.4)):
        own = [row for row in rows if row["measure"] == measure]
        assert min(row["value"] for row in own if row["other"] == "large") > 0.5, measure
        assert max(row["value"] for row in own if row["other"] == "other") < most, measure


def test_other_examples_are_refused(tmp_path: Path) -> None:
    layers = [normal(6, 3, 0)]
    path = written(tmp_path / "a.parquet", layers)
    other = written(tmp_path / "b.parquet", layers, [f"x{row}" for row in range(6)])
    with pytest.raises(UserError, match=r"b\.parquet: other examples than in .*a\.parquet"):
        list(measure_variant(path, other))


def test_too_few_examples_leave_values_empty_and_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A test set of two or three examples, as a first try has, is no reason to stop a study."""
    vectors = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    few = written(tmp_path / "few.parquet", [vectors])
    found = {row["measure"]: row["value"] for row in measure_variant(few, few)}
    assert found["cka"] is None
    assert found["anisotropy"] == pytest.approx(-1 / 3)  # cosines 0, -1, 0
    assert found["procrustes"] is found["mutual_knn"] is None
    assert "few.parquet: 3 rows; CKA needs 4" in caplog.text
    assert "few.parquet: 3 rows; similarity of neighbours needs 12" in caplog.text
    one = written(tmp_path / "one.parquet", [vectors[:1]])
    assert [row["value"] for row in measure_variant(one, one)] == [None] * 7
