"""Paired tests against all exchanges counted out, a sampling distribution, and Holm's own steps."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from synthetic_tables import SETTINGS, run_program
from test_scoring import write, write_nli

from layerscope.config.statistics import Statistics
from layerscope.core.errors import UserError
from layerscope.core.formats import read_table
from layerscope.evaluation.prediction_files import read_predictions
from layerscope.evaluation.significance import difference_rows, holm, randomisation_p
from layerscope.statistics.metrics import accuracy_of

Array = np.ndarray


def counts(right: Array) -> Array:
    """Counts of one class: hits, nothing wrong, misses."""
    return np.stack([right, np.zeros_like(right), 1 - right], axis=1).astype(float)


def test_p_is_that_of_all_exchanges() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 2, size=(2, 9)) for _ in range(2))  # seeds x examples
    difference = other - one
    seen = abs(difference.sum())
    every = [abs((difference * signs).sum()) for signs in product((1, -1), repeat=9)]
    exact = np.mean([value >= seen for value in every])
    found = randomisation_p(
        [counts(r) for r in one], [counts(r) for r in other], accuracy_of, 20_000, rng
    )
    assert found == pytest.approx(exact, abs=0.02)


def test_models_that_are_alike_are_told_apart_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(300):
        one, other = (counts(rng.random(80) < 0.7) for _ in range(2))
        found.append(randomisation_p([one], [other], accuracy_of, 199, rng))
    share = float(np.mean(np.asarray(found) <= 0.1))
    assert 0.02 < share < 0.13  # at most 0.1, less for the ties of counts


def test_a_real_difference_has_the_smallest_p_there_can_be() -> None:
    one, other = counts(np.zeros(60)), counts(np.ones(60))
    assert randomisation_p([one], [other], accuracy_of, 99, np.random.default_rng(0)) == 0.01
    assert randomisation_p([one], [one], accuracy_of, 99, np.random.default_rng(0)) == 1


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert holm([0.2]) == pytest.approx([0.2])


def test_pairs_of_models_on_the_same_examples(tmp_path: Path) -> None:
    files = []
    for number, (model, right) in enumerate({"a": 0.6, "b": 0.61, "c": 0.9}.items()):
        for seed in (1, 2):
            path = write_nli(tmp_path / model, f"f100-s{seed}", right, seed + 10 * number)
            file = read_predictions(path)
            file.described["model"] = model
            files.append(file)
    rows = difference_rows(files, Statistics(resamples=500))
    found = {(row["model"], row["other"]): row for row in rows}
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found["a", "b"]["low"] < 0 < found["a", "b"]["high"]
    assert found["a", "b"]["holm"] > 0.05
    for pair in (("a", "c"), ("b", "c")):
        assert found[pair]["low"] > 0.15
        assert found[pair]["value"] == pytest.approx(0.3, abs=0.08)
        assert found[pair]["holm"] < 0.01
    assert {row["groups"] for row in rows} == {400}
    assert {row["metric"] for row in rows} == {"accuracy"}
    with pytest.raises(UserError, match=r"c: seeds \(1,\); allowed: \(1, 2\)"):
        difference_rows(files[:-1], Statistics(resamples=100))


def test_a_table_of_parts_is_corrected_by_task(tmp_path: Path) -> None:
    """A further task changes nothing of another's p values."""
    parts, expected = [], []
    for task, seed in (("one", 0), ("two", 50)):
        paths = []
        for number, model in enumerate("abc"):
            columns = read_table(
                write_nli(tmp_path / "made", "f100-s1", 0.6 + 0.03 * number, seed + number),
                "predictions",
            ).to_pydict()
            path = tmp_path / task / model / "f100-s1.parquet"
            write(path, columns, "nli", "f100-s1", task=task, model=model)
            paths.append(path)
        part = tmp_path / "parts" / f"{task}.parquet"
        run_program(
            "make_table",
            "evaluation.significance",
            *paths,
            "--settings",
            SETTINGS,
            "--out",
            f"significance={part}",
        )
        parts.append(part)
        expected += list(
            holm([row["p"] for row in read_table(part, "significance-table").to_pylist()])
        )
    table = tmp_path / "significance.parquet"
    run_program("join_tables", "--kind", "significance-table", "--parts", *parts, "--out", table)
    rows = read_table(table, "significance-table").to_pylist()
    assert [row["task"] for row in rows] == ["one"] * 3 + ["two"] * 3
    assert [row["holm"] for row in rows] == pytest.approx(expected)
    assert any(row["holm"] > row["p"] for row in rows)
