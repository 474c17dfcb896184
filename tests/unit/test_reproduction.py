"""Published values: read strictly, compared by hand-worked rules, drawn as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from synthetic_results import MODELS, write_study
from synthetic_tables import SETTINGS, records, run_program, tabulate

from layerscope.config.references import Reference, read_references
from layerscope.core.errors import UserError
from layerscope.core.formats import SCHEMAS, read_table
from layerscope.core.looks import METRICS
from layerscope.core.table_files import read_frame
from layerscope.evaluation.reproduction import (
    VERDICTS,
    Ours,
    judge,
    mean_with_interval,
    verdict_rows,
)
from layerscope.figures import reproduction as figure
from layerscope.figures.style import COLUMN

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "config" / "references.csv"
HEADER = "task,model,metric,percent,value,tolerance,comparable,source,note\n"
GOOD = "mednli,bert,accuracy,100,0.776,0.02,yes,a paper,\n"
Row = dict[str, Any]


def verdicts(references: list[Reference], scores: list[Row]) -> list[Row]:
    return records(verdict_rows(references, pd.DataFrame(scores), 0.95))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def reference(**changes: Any) -> Reference:
    default = Reference("t", "m", "accuracy", 100, 0.8, 0.02, "yes", "a paper", "")
    return default._replace(**changes)


def score(model: str = "m", value: float | None = 0.8, seed: int | None = 1, **changes: Any) -> Row:
    ends = dict.fromkeys(("low", "high"), None)
    if value is not None:
        ends = {"low": value - 0.005, "high": value + 0.005}
    default = {"task": "t", "model": model, "metric": "accuracy", "percent": 100, "seed": seed,
               "value": value, **ends}  # fmt: skip
    return default | changes


def seeds(model: str, value: float, **changes: Any) -> list[Row]:
    """Three seeds that hardly differ."""
    return [score(model, value + 0.001 * seed, seed, **changes) for seed in (-1, 0, 1)]


def test_the_projects_references_are_valid_and_name_models_of_the_paper() -> None:
    found = read_references(PUBLISHED)
    paper = ROOT / "config" / "paper.yaml"
    if not paper.is_file():
        pytest.skip(f"no {paper}")
    study = yaml.safe_load(paper.read_text(encoding="utf-8"))
    assert {r.task for r in found} <= set(study["tasks"])
    # What is neither a bound nor context has to be spelt as the study spells it.
    others = {"any", "scibert", "deberta-v3-large"}
    assert {r.model for r in found} - others <= set(study["models"])
    values = {(r.task, r.model, r.comparable): (r.value, r.tolerance) for r in found}
    assert values["mednli", "bert", "yes"][0] == 0.776
    low, high = (values["mednli", "biobert", "yes"][0] + s * 0.02 for s in (-1, 1))
    assert low <= 0.805 < 0.829 <= high
    assert values["jnlpba", "scibert", "yes"][0] == 0.749
    assert values["jnlpba", "deberta-v3-large", "yes"][0] == 0.759
    assert values["jnlpba", "any", "bound"] == (0.8, 0)
    assert ("jnlpba", "biobert", "no") in values


def test_references_are_read_as_they_stand(tmp_path: Path) -> None:
    text = HEADER + GOOD + '\nt,any,entity_f1,10,1,.5,bound,"two\nlines, quoted",why\n'
    assert read_references(write(tmp_path / "r.csv", text)) == [
        Reference("mednli", "bert", "accuracy", 100, 0.776, 0.02, "yes", "a paper", ""),
        Reference("t", "any", "entity_f1", 10, 1.0, 0.5, "bound", "two\nlines, quoted", "why"),
    ]
    assert read_references(write(tmp_path / "excel.csv", "\ufeff" + HEADER + GOOD))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (GOOD.replace("mednli", "Med NLI"), "column 'task': 'Med NLI'; allowed: a name"),
        (GOOD.replace("bert", ""), "column 'model': ''; allowed: a name"),
        (GOOD.replace("accuracy", "f1"), "column 'metric': 'f1'; allowed: accuracy, macro_f1"),
        (GOOD.replace("100", "0"), "column 'percent': '0'; allowed: a whole number from 1"),
        (GOOD.replace("100", "101"), "column 'percent': '101'; allowed"),
        (GOOD.replace("0.776", "77.6"), "column 'value': '77.6'; allowed: a share from 0 to 1"),
        (GOOD.replace("0.776", "1.5"), "column 'value': '1.5'; allowed"),
        (GOOD.replace("0.776", "nan"), "column 'value': 'nan'; allowed"),
        (GOOD.replace("0.02", "-0.1"), "column 'tolerance': '-0.1'; allowed"),
        (GOOD.replace("yes", "Yes"), "column 'comparable': 'Yes'; allowed: yes, no, bound"),
        (GOOD.replace("yes", "bound"), "column 'model': 'bert'; allowed: 'any' for a bound"),
        (GOOD.replace("bert", "any"), "column 'model': 'any'; allowed: 'any' for a bound"),
        (GOOD.replace("a paper", " "), "column 'source': ' '; allowed: where the value stands"),
        (GOOD.replace(",a paper", ""), "8 cells; allowed: 9"),
        (GOOD, "column 'source': 'a paper' as in line 2; allowed"),
    ],
)
def test_a_wrong_row_is_one_line(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path / "r.csv", HEADER + GOOD + row)
    with pytest.raises(UserError) as raised:
        read_references(path)
    assert str(raised.value).startswith(f"{path} line 3")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_wrong_row_is_named_with_its_line(tmp_path: Path) -> None:
    two_lines = GOOD.replace("a paper", '"a\npaper"')
    text = HEADER + two_lines + GOOD.replace("bert", "B") + GOOD + GOOD.replace("100", "x")
    with pytest.raises(UserError) as raised:
        read_references(write(tmp_path / "r.csv", text))
    lines = str(raised.value).splitlines()
    assert [line.removeprefix(f"{tmp_path / 'r.csv'} ")[:7] for line in lines] == [
        "line 4,",
        "line 6,",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: columns missing; allowed: task, model"),
        (b"task,model\n", "line 1: columns task, model; allowed"),
        (HEADER.encode(), "line 2: no row; allowed: one or more"),
        (HEADER.encode() + b"\xff\n", "not UTF-8 at byte"),
        (HEADER.encode() + b'a,"b\n', "allowed: CSV"),
    ],
)
def test_what_is_no_table_of_references_is_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_references(path)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="No such file"):
        read_references(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.80, 0.781, 0.819, "agrees"),
        (0.81, 0.79, 0.83, "inconclusive"),
        (0.79, 0.77, 0.81, "inconclusive"),
        (0.80, 0.60, 0.90, "inconclusive"),  # wide
        (0.77, 0.76, 0.779, "below"),
        (0.77, 0.76, 0.781, "inconclusive"),
        (0.83, 0.821, 0.84, "above"),
        (0.80, None, None, "inconclusive"),  # one seed
        (0.20, None, None, "inconclusive"),
    ],
)
def test_agreement_needs_the_whole_interval_within_the_tolerance(
    value: float, low: float | None, high: float | None, expected: str
) -> None:
    assert judge(reference(value=0.8, tolerance=0.02), Ours(value, low, high)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5])
def test_what_is_off_by_the_tolerance_seldom_agrees(n: int) -> None:
    """The error of two one-sided tests is largest on the edge; what is near agrees."""
    rng = np.random.default_rng(n)

    def agreement(true: float, tolerance: float) -> float:
        drawn = true + 0.01 * rng.standard_normal((300, n)) + 0.01 * rng.standard_normal((300, 1))
        half = 1.96 * 0.01
        near = reference(tolerance=tolerance)
        tables = (pd.DataFrame({"value": v, "low": v - half, "high": v + half}) for v in drawn)
        verdicts = [judge(near, mean_with_interval(table, 0.95)) for table in tables]
        return float(np.mean([verdict == "agrees" for verdict in verdicts]))

    assert agreement(0.85, 0.05) <= 0.07
    assert agreement(0.80, 0.05) > 0.6


def test_a_bound_is_judged_by_the_best_model() -> None:
    bound = reference(model="any", tolerance=0.0, comparable="bound")
    scores = [
        *seeds("good", 0.78),
        *seeds("bad", 0.3),
        *seeds("majority", 0.99),
        *seeds("other", 0.95, task="u"),
        *seeds("small", 0.97, percent=10),
    ]
    (row,) = verdicts([bound], scores)
    assert row["value"] == pytest.approx(0.78)
    assert row["verdict"] == "agrees"
    (row,) = verdicts([bound], [*scores, *seeds("near", 0.799)])
    assert row["verdict"] == "inconclusive"
    (row,) = verdicts([bound], [*scores, score("wrong", 0.81)])  # whatever its interval
    assert (row["value"], row["verdict"]) == (0.81, "above")
    (row,) = verdicts([bound], [score(task="u")])
    assert (row["value"], row["verdict"]) == (None, "not run")


def test_seeds_are_compared_and_their_mean_is_no_further_one() -> None:
    rows = [*seeds("m", 0.8), score(value=0.9, seed=None)]
    (row,) = verdicts([reference()], rows)
    assert row["value"] == pytest.approx(0.8)
    assert 0.78 < row["low"] < 0.797 < 0.803 < row["high"] < 0.82
    (row,) = verdicts([reference()], rows[:1])
    assert (row["low"], row["high"], row["verdict"]) == (None, None, "inconclusive")


@pytest.mark.parametrize(
    ("changes", "value", "expected"),
    [
        ({"comparable": "no"}, 0.8, "not comparable"),
        ({"comparable": "no", "model": "gone"}, None, "not comparable"),
        ({"model": "gone"}, None, "other model"),
        ({"task": "gone"}, None, "not run"),
        ({"task": "gone", "model": "gone"}, None, "not run"),
        ({"percent": 50}, None, "not run"),
        ({"metric": "macro_f1"}, None, "not run"),
    ],
)
def test_without_a_comparison_the_reason_is_said(
    changes: dict[str, Any], value: float | None, expected: str
) -> None:
    (row,) = verdicts([reference(**changes)], [score()])
    assert (row["value"], row["verdict"]) == (value, expected)
    (row,) = verdicts([reference()], [score(value=None)])
    assert row["verdict"] == "not run"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Scores of two models, and references of every kind."""
    folder = tmp_path_factory.mktemp("study")
    shapes = {"minilm": (1, 1), "gpt-mini": (1, 1)}
    files = write_study(folder, {"one-nli": "nli", "one-ner": "ner"}, shapes, (100,), range(5), 3)
    tables = tabulate(files, {m: MODELS[m] for m in shapes}, folder)
    ours = {
        row["model"]: row["value"]
        for row in read_table(tables["scores"], "scores-table").to_pylist()
        if (row["task"], row["metric"], row["seed"]) == ("one-nli", "accuracy", None)
    }
    lines = [
        f"one-nli,minilm,accuracy,100,{ours['minilm'] + 0.01:.3f},0.06,yes,a,",
        f"one-nli,gpt-mini,accuracy,100,{ours['gpt-mini'] + 0.1:.3f},0.02,yes,b,",
        f"one-nli,gpt-mini,accuracy,100,{ours['gpt-mini'] - 0.1:.3f},0.02,yes,c,",
        f"one-nli,minilm,accuracy,100,{ours['minilm'] + 0.01:.3f},0.02,yes,same,",
        "one-nli,scibert,accuracy,100,0.749,0.02,yes,d,",
        "one-nli,minilm,accuracy,50,0.7,0.02,yes,e,",
        "one-ner,minilm,entity_f1,100,0.78,0.01,no,f,",
        "one-ner,any,entity_f1,100,0.3,0,bound,g,",
        "mednli,bert,accuracy,100,0.776,0.02,yes,h,",
    ]
    references = write(folder / "references.csv", HEADER + "\n".join(lines) + "\n")
    table = folder / "reproduction.parquet"
    run_program(
        "make_table", "evaluation.reproduction", "--inputs", f"references={references}",
        f"scores={tables['scores']}", "--settings", SETTINGS, "--out", f"reproduction={table}",
        "--csv",
    )  # fmt: skip
    return {"reproduction": table}


@pytest.mark.slow
def test_the_table_has_a_row_a_reference_and_a_csv(study: dict[str, Path]) -> None:
    table = read_table(study["reproduction"], "reproduction-table")
    assert table.column_names == list(SCHEMAS["reproduction-table"])
    verdicts = table["verdict"].to_pylist()
    assert verdicts == [
        "agrees", "below", "above", "inconclusive", "other model", "not run", "not comparable",
        "above", "not run",
    ]  # fmt: skip
    assert set(verdicts) == set(VERDICTS)
    assert table["source"].to_pylist() == ["a", "b", "c", "same", *"defgh"]
    csv = study["reproduction"].with_suffix(".csv").read_text().splitlines()
    assert csv[0].replace('"', "").split(",") == table.column_names
    assert len(csv) == 1 + len(verdicts)


@pytest.mark.slow
def test_the_figure_shows_each_reference_and_our_value(study: dict[str, Path]) -> None:
    rows = read_frame(study["reproduction"], "reproduction-table")
    drawn = figure.draw(rows)
    assert drawn.get_figwidth() == COLUMN
    panels = {place: records(own) for place, own in figure.panels_of(rows).items()}
    assert [len(axes.patches) for axes in drawn.axes] == [len(p) for p in panels.values()]
    for axes, ((task, metric, _), chosen) in zip(drawn.axes, panels.items(), strict=True):
        assert axes.get_title(loc="left").startswith(f"{task}: {METRICS[metric]}")
        assert [text.get_text() for text in axes.texts] == [row["verdict"] for row in chosen]
        dots = {line.get_ydata()[0]: line.get_xdata()[0] for line in axes.lines
                if line.get_marker() not in ("None", None, "")}  # fmt: skip
        ours = {at: row["value"] for at, row in enumerate(chosen) if row["value"] is not None}
        assert dots == pytest.approx(ours)
        left, right = axes.get_xlim()
        for at, (row, band) in enumerate(zip(chosen, axes.patches, strict=True)):
            x0, _, width, _ = band.get_bbox().bounds
            assert x0 + width == pytest.approx(row["published"] + row["tolerance"])
            lowest = left if row["model"] == "any" else row["published"] - row["tolerance"]
            assert x0 == pytest.approx(lowest)
            marks = [row["published"], *(row[k] for k in ("value", "low", "high"))]
            assert all(left <= x <= right for x in marks if x is not None), at


@pytest.mark.slow
def test_the_program_draws_three_files_and_the_same_bytes_twice(
    study: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        run_program(
            "draw", "reproduction", "--tables", f"reproduction={study['reproduction']}",
            "--out", tmp_path / name / "reproduction.svg",
        )  # fmt: skip
    made = sorted((tmp_path / "a").iterdir())
    assert [path.suffix for path in made] == [".pdf", ".png", ".svg"]
    for path in made:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert "<text" not in made[2].read_text()
