"""Which systems are compared, and Holm's steps; the test itself is in test_crossed.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from synthetic_tables import SETTINGS, run_program
from test_scoring import write, write_nli

from layerscope.config.statistics import Statistics
from layerscope.core.errors import UserError
from layerscope.core.formats import read_table
from layerscope.evaluation.prediction_files import read_predictions
from layerscope.evaluation.significance import difference_rows, families, holm
from layerscope.figures import significance as figure


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert holm([0.2]) == pytest.approx([0.2])
    unknown = float("nan")  # is no test
    assert holm([0.02, unknown, 0.01]) == pytest.approx([0.02, unknown, 0.02], nan_ok=True)


def test_the_figure_has_a_line_for_each_comparison_filled_where_it_is_significant() -> None:
    def row(model: str, other: str, holm: float | None, percent: int = 100) -> dict[str, Any]:
        ends = (None, None) if holm is None else (0.0, 0.2)
        return {"metric": "accuracy", "model": model, "percent": percent, "other": other,
                "other_percent": 100, "value": 0.1, "low": ends[0], "high": ends[1],
                "holm": holm}  # fmt: skip

    rows = pd.DataFrame(
        [row("a", "b", 0.01), row("majority", "a", 0.3), row("majority", "b", None),
         row("a", "a", 0.04, 10)]
    )  # fmt: skip
    panels = figure.draw(rows).axes
    labels = [[text.get_text() for text in axes.get_yticklabels()] for axes in panels]
    assert labels == [["b − a"], ["a − majority", "b − majority"], ["a: 100 % − 10 %"]]
    points = [[line for line in axes.lines if line.get_marker() in "os"] for axes in panels]
    filled = [[line.get_markerfacecolor() != "white" for line in lines] for lines in points]
    assert filled == [[True], [False, False], [True]]
    # A line at 0, then an interval and a point for each comparison that was tested.
    assert [len(axes.lines) for axes in panels] == [3, 4, 3]


def test_pairs_of_models_on_the_same_examples(tmp_path: Path) -> None:
    files = []
    for number, (model, right) in enumerate({"a": 0.6, "b": 0.61, "c": 0.9}.items()):
        for seed in (1, 2, 3):
            path = write_nli(tmp_path / model, f"f100-s{seed}", right, seed + 10 * number)
            file = read_predictions(path)
            file.described["model"] = model
            files.append(file)
    rows = difference_rows(files, Statistics())
    found = {(row["model"], row["other"]): row for row in rows}
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found["a", "b"]["low"] < 0 < found["a", "b"]["high"]
    assert found["a", "b"]["holm"] > 0.05
    for pair in (("a", "c"), ("b", "c")):
        assert found[pair]["low"] > 0.15
        assert found[pair]["value"] == pytest.approx(0.3, abs=0.08)
        assert found[pair]["holm"] < 0.05
    assert {row["groups"] for row in rows} == {400}
    assert {row["seeds"] for row in rows} == {3}
    assert {row["metric"] for row in rows} == {"accuracy"}
    with pytest.raises(UserError, match=r"c on 100 %: seeds \[1, 2\]; allowed: \[1, 2, 3\]"):
        difference_rows(files[:-1], Statistics())
    single = difference_rows([file for file in files if file.seed == 1], Statistics())
    for row in single:
        assert row["value"] is not None
        assert {row[name] for name in ("low", "high", "p", "holm")} == {None}


def test_models_are_compared_with_each_other_with_baselines_and_with_themselves() -> None:
    systems = [("a", 10), ("a", 100), ("b", 10), ("b", 100), ("majority", 100), ("c", 100)]
    models, gains = families([*systems, ("bag-of-words", 100)])
    assert [(one, other) for (one, _), (other, _) in models] == [
        ("a", "b"), ("a", "c"), ("b", "c"),
        ("majority", "a"), ("majority", "b"), ("majority", "c"),
        ("bag-of-words", "a"), ("bag-of-words", "b"), ("bag-of-words", "c"),
    ]  # fmt: skip
    assert gains == [(("a", 10), ("a", 100)), (("b", 10), ("b", 100))]
    assert families([("a", 100), ("b", 100)])[1] == []


def test_a_table_of_parts_is_corrected_by_task(tmp_path: Path) -> None:
    """A further task changes nothing of another's p values."""
    parts, expected = [], []
    for task, start in (("one", 0), ("two", 50)):
        paths = []
        for number, model in enumerate("abc"):
            for variant in ("f100-s1", "f100-s2"):
                draw = start + number + 10 * int(variant[-1])
                made = write_nli(tmp_path / "made", variant, 0.6 + 0.03 * number, draw)
                path = tmp_path / task / model / f"{variant}.parquet"
                columns = read_table(made, "predictions").to_pydict()
                write(path, columns, "nli", variant, task=task, model=model)
                paths.append(path)
        part = tmp_path / "parts" / f"{task}.parquet"
        run_program(
            "make_table", "evaluation.significance", *paths, "--settings", SETTINGS,
            "--out", f"significance={part}",
        )  # fmt: skip
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
