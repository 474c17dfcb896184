"""The explorer: what it embeds are the tables' numbers, and no name in them can break the page."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from synthetic_results import TASKS
from synthetic_tables import SHAPES, run_program

from layerscope.core.formats import read_table
from layerscope.core.lineage import Origin, marked, running
from layerscope.explorer import further
from layerscope.explorer import page as page_module
from layerscope.explorer.content import contents, measure_name, short
from layerscope.explorer.page import embedded, page

pytestmark = pytest.mark.slow

FILES = Path(page_module.__file__).parent
NAMES = (
    *("scores", "probes", "attention", "association", "association-points"),
    *("similarity", "layer_localization"),
    *(*further.TABLES, "head_importance", "error_analysis"),
)
STATISTIC = ("value", "low", "high", "n", "models", "p_corrected")
EVIL = "</script><script>alert('&amp;')</script><!--"
Row = dict[str, Any]


class Scripts(HTMLParser):
    """Text of each script element, as a browser finds where it ends."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.found.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.found[-1] = (self.found[-1][0], self.found[-1][1] + data)


def content_of(text: str) -> Row:
    (content,) = [body for attributes, body in Scripts(text).found if "id" in attributes]
    found: Row = json.loads(content)
    return found


@pytest.fixture(scope="module")
def tables(made_tables: dict[str, Path]) -> dict[str, Path]:
    return made_tables


def write_page(tables: dict[str, Path], out: Path, names: tuple[str, ...] = NAMES) -> str:
    options = [f"{name}={tables[name]}" for name in names]
    run_program("draw_explorer", "--study", "one", "--tables", *options, "--out", out)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tables: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_page(tables, tmp_path_factory.mktemp("page") / "explorer.html")


@pytest.fixture(scope="module")
def content(text: str) -> Row:
    return content_of(text)


def rows(tables: dict[str, Path], name: str) -> list[Row]:
    return read_table(tables[name], f"{name}-table").to_pylist()


def numbers(value: Any) -> int:
    """How many numbers there are at any depth."""
    if isinstance(value, dict):
        return sum(map(numbers, value.values()))
    if isinstance(value, list):
        return sum(map(numbers, value))
    return isinstance(value, int | float)


def same(found: Any, expected: float | None) -> bool:
    return found is None if expected is None else found == pytest.approx(expected, rel=5e-5)


def test_scores_are_those_of_the_table(tables: dict[str, Path], content: Row) -> None:
    expected = rows(tables, "scores")
    for row in expected:
        found = content["tasks"][row["task"]]["scores"][row["metric"]][row["model"]]
        for value, name in zip(found[row["variant"]], ("value", "low", "high"), strict=True):
            assert same(value, row[name]), row
    assert sum(numbers(t["scores"]) for t in content["tasks"].values()) == 3 * len(expected)


def test_values_by_layer_are_those_of_the_tables(tables: dict[str, Path], content: Row) -> None:
    probed = [r for r in rows(tables, "probes") if r["layer"] is not None]
    alone = [r for r in probed if r["seed"] is not None or r["variant"] == "pretrained"]
    expected = [(f"{r['probe']}|{r['view']}|{r['metric']}", r) for r in alone] + [
        (f"|{r['view']}|{r['measure']}", r) for r in rows(tables, "similarity")
    ]
    for key, row in expected:
        found = content["tasks"][row["task"]]["layers"][row["model"]][key][row["variant"]]
        assert same(found[row["layer"]], row["value"]), row
    tasks = content["tasks"].values()
    shown = {key for key, _ in expected}
    found = [
        {key: by[key] for key in shown & by.keys()}
        for task in tasks for by in task["layers"].values()
    ]  # fmt: skip
    assert numbers(found) == len(expected)
    for task in tasks:  # each can be chosen, and one of them comes first
        keys = {key for by in task["layers"].values() for key in by}
        assert {curve["key"] for curve in task["curves"]} == keys
        assert sum(curve["first"] for curve in task["curves"]) == 1


@pytest.mark.parametrize(
    ("table", "group", "metric", "value"),
    [
        ("weight_change", "change of weights, {matrices}", "measure", "value"),
        ("representation_quality", "representations", "measure", "value"),
        ("usable_information", "usable information, {family}, {view}", "", "value"),
        ("head_lens", "head lens, {lens}", "metric", "value"),
        ("patching", "{patch} {direction}", "metric", "change"),
        ("interventions", "{intervention} ({fitted})", "metric", "change"),
    ],
)
def test_further_values_by_layer_are_those_of_their_tables(
    table: str, group: str, metric: str, value: str, tables: dict[str, Path], content: Row
) -> None:
    expected = [
        row for row in rows(tables, table)
        if row["layer"] is not None and (row["seed"] is not None or row["variant"] == "pretrained")
    ]  # fmt: skip
    for row in expected:
        key = f"{table}|{group.format(**row)}|{row[metric] if metric else ''}"
        task = content["tasks"][row["task"]]
        found = task["layers"][row["model"]][key][row["variant"]]
        assert same(found[row["layer"]], row[value]), row
        (curve,) = [curve for curve in task["curves"] if curve["key"] == key]
        assert (curve["table"], curve["group"]) == (table, group.format(**row))
    assert expected


def test_confidence_and_classes_are_those_of_the_table(
    tables: dict[str, Path], content: Row
) -> None:
    for row in rows(tables, "error_analysis"):
        if row["seed"] is None:
            continue
        found = content["tasks"][row["task"]]["evaluation"]
        if row["measure"] == "f1":
            values = found["values"][row["model"]][row["variant"]]
            assert same(values[f"F1, {row['label']}"], row["value"])
        elif row["measure"] == "bin_accuracy":
            bins = found["bins"][row["model"]][row["variant"]]
            assert any(same(b[1], row["value"]) and b[2] == row["n"] for b in bins)
    columns = content["tasks"]["one-ner"]["evaluation"]["columns"]
    assert columns[:3] == ["ECE", "Brier", "F1, seen entities"]


def test_heads_are_those_of_the_tables(tables: dict[str, Path], content: Row) -> None:
    columns = ("importance", "importance_low", "importance_high")
    expected = rows(tables, "attention") + [
        row | dict(zip(("measure", "value", "low", "high"),
                       ("importance", *(row[name] for name in columns)), strict=True))
        for row in rows(tables, "head_importance")
    ]  # fmt: skip
    count = 0
    for row in expected:
        found = content["tasks"][row["task"]]["attention"][row["model"]]
        assert (found["layers"], found["heads"]) == SHAPES[row["model"]]
        parts = found["values"][row["measure"]][row["variant"]]
        place = (row["layer"] - found["layer"]) * found["heads"] + row["head"]
        names = ("value", "low", "high")
        if "null" in row["measure"] or "ceiling" in row["measure"]:
            names = ("value",)
        assert len(parts) == len(names)
        for part, name in zip(parts, names, strict=True):
            assert same(part[place], row[name]), row
        count += len(names)
    found = [m["values"] for task in content["tasks"].values() for m in task["attention"].values()]
    assert numbers(found) == count


def test_layer_localization_and_association_are_those_of_the_tables(
    tables: dict[str, Path], content: Row
) -> None:
    for row in rows(tables, "layer_localization"):
        by_curve = content["tasks"][row["task"]]["layer_localization"][row["model"]]
        key = f"{row['probe']}|{row['view']}|{row['metric']}"
        assert same(by_curve[key][row["variant"]][row["measure"]], row["value"])
    for row in rows(tables, "association"):
        by_name = content["tasks"][row["task"]]["association"][row["metric"]]
        found = by_name[row["inner measure"]][row["statistic"]]
        for value, name in zip(found, STATISTIC, strict=True):
            assert same(value, row[name]), row


def test_points_have_the_score_of_their_variant(tables: dict[str, Path], content: Row) -> None:
    scores = {
        (r["task"], r["metric"], r["model"], r["percent"], r["seed"]): r["value"]
        for r in rows(tables, "scores")
    }
    counts = set()
    for task, there in content["tasks"].items():
        for metric, by_name in there["points"].items():
            for known in by_name.values():
                counts.add(len(known))
                for model, percent, seed, _, score in known:
                    assert same(score, scores[task, metric, model, percent, seed])
    assert max(counts) == len(SHAPES) * 2 * 2  # less where a curve is level and has no depth


def test_best_layer_of_the_points_is_the_largest_of_the_curve(content: Row) -> None:
    task = content["tasks"]["one-nli"]
    for model, percent, seed, inner, _ in task["points"]["accuracy"][
        "linear probe, joint view: best layer"
    ]:
        curve = task["layers"][model]["linear|joint|accuracy"][f"f{percent}-s{seed}"]
        assert inner == pytest.approx(max(curve), rel=1e-4)


def test_choices_are_those_of_the_study(content: Row) -> None:
    nli, ner = content["tasks"]["one-nli"], content["tasks"]["one-ner"]
    assert list(content["tasks"]) == list(TASKS)
    assert nli["models"] == list(SHAPES) == list(content["models"])
    assert (nli["fractions"], nli["seeds"]) == ([10, 100], [1, 2])
    assert [m["key"] for m in ner["metrics"]] == ["entity_f1", "token_macro_f1"]
    assert nli["baselines"] == ["majority", "bag-of-words", "premise-only", "hypothesis-only"]
    (first,) = [curve["key"] for curve in nli["curves"] if curve["first"]]
    assert first == "linear|joint|accuracy"
    assert nli["first"] == "linear probe, joint view: best layer"
    measures = {measure["key"]: measure for measure in nli["measures"]}
    assert measures["entropy"]["before"]
    assert not measures["cosine"]["before"]
    assert measures["cosine"]["compares"]
    assert not measures["cosine_ceiling"]["compares"]
    assert {r["key"] for r in measures["jsd"]["references"]} == {
        "jsd_null_head",
        "jsd_null_sentence",
        "jsd_ceiling",
    }


def test_the_same_tables_give_the_same_bytes(
    tables: dict[str, Path], text: str, tmp_path: Path
) -> None:
    assert write_page(tables, tmp_path / "again.html") == text


def test_a_table_that_is_not_there_shows_as_nothing(
    tables: dict[str, Path], content: Row, tmp_path: Path
) -> None:
    without = content_of(write_page(tables, tmp_path / "less.html", NAMES[:5]))
    for task, found in without["tasks"].items():
        whole = content["tasks"][task]
        assert found["layer_localization"] == {}
        probed = [curve for curve in whole["curves"] if curve["table"] == "probes"]
        assert found["curves"] == probed
        assert len(probed) < len(whole["curves"])
        assert found["evaluation"] == {"columns": [], "values": {}, "bins": {}}
        less = {"layer_localization", "curves", "layers", "measures", "attention", "evaluation"}
        same_keys = whole.keys() - less
        assert {key: found[key] for key in same_keys} == {key: whole[key] for key in same_keys}


def test_a_study_of_nothing_and_one_without_attention() -> None:
    assert contents("none", {}, 0.95)["tasks"] == {}
    row = {"task": "t", "model": "m", "variant": "pretrained", "percent": 0, "seed": None,
           "probe": "linear", "rows": "validation", "view": "word", "layer": 1, "depth": 1.0,
           "metric": "entity_f1", "value": math.nan}  # fmt: skip
    found = contents("one", {"probes": pd.DataFrame([row])}, 0.95)["tasks"]["t"]
    assert found["layers"] == {"m": {"linear|word|entity_f1": {"pretrained": [None, None]}}}
    assert (found["models"], found["fractions"], found["attention"]) == (["m"], [], {})


def test_names_cannot_end_the_script_nor_become_markup(content: Row) -> None:
    task = content["tasks"]["one-nli"]
    evil = content | {"study": EVIL, "tasks": {EVIL: task}, "models": {EVIL: {}}}
    text = page(evil)
    scripts = Scripts(text).found
    assert len(scripts) == 2
    assert json.loads(scripts[0][1]) == evil
    assert "alert" not in re.sub(r"<script.*?</script>", "", text, flags=re.S).replace(
        "&lt;script&gt;alert", ""
    )
    assert json.loads(embedded({"a": "<&>\u2028"})) == {"a": "<&>\u2028"}
    assert not set("<&>") & set(embedded(EVIL))


def test_the_page_loads_nothing(text: str) -> None:
    assert "default-src 'none'" in text
    assert set(re.findall(r"https?://[^\"'\s]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"<(?:link|img|iframe)\b|\ssrc=|@import|url\(|\bfetch\(|import\(", text)


def test_its_modules_become_one_script(text: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in sorted(FILES.glob("*.js"))]
    declared = [
        name
        for source in sources
        for name in re.findall(r"^(?:export )?(?:const|let|function) (\w+)", source, flags=re.M)
    ]
    (script,) = [body for attributes, body in Scripts(text).found if "id" not in attributes]
    assert not re.findall(r"^(?:import|export)\b.*", script, flags=re.M)
    assert len(set(declared)) == len(declared) > len(sources)
    for name in declared:
        assert len(re.findall(rf"^(?:const|let|function) {name}\b", script, flags=re.M)) == 1


class Elements(HTMLParser):
    """Ids of a page's elements, each of which must be closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_its_markup_has_what_the_script_and_the_style_sheet_name(text: str) -> None:
    markup = Elements(text)
    assert not markup.open
    assert len(set(markup.ids)) == len(markup.ids)
    script = Scripts(text).found[-1][1]
    rules = re.findall(r"^ *([^@{}/]+) \{", (FILES / "explorer.css").read_text("utf-8"), flags=re.M)
    named = {*re.findall(r'byId\("([\w-]+)"\)', script), *re.findall(r"#([\w-]+)", " ".join(rules))}
    assert len(named) > 10
    assert named <= set(markup.ids)


def test_without_scripts_it_says_so(text: str) -> None:
    (said,) = re.findall(r"<noscript>(.*?)</noscript>", text, flags=re.S)
    assert "tables/*.csv" in said


def test_it_carries_its_origin_as_figures_do(content: Row) -> None:
    assert marked(page(content).encode()) is None
    with running(Origin("a" * 64, 'from <"tables">')):
        text = page(content)
    assert marked(text.encode()) == "a" * 64
    assert 'content="from &lt;&quot;tables&quot;&gt;"' in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1 / 3, 0.33333), (123456.7, 123460), (2.0, 2), (-0.0, 0), (1e-9 / 3, 3.3333e-10),
     (None, None), (math.nan, None), (math.inf, None)],
)  # fmt: skip
def test_numbers_keep_five_digits(value: float | None, expected: float | None) -> None:
    assert short(value) == expected
    assert str(short(value)) == str(expected)


def test_an_unknown_measure_has_its_own_name() -> None:
    assert measure_name("jsd_null_head") == "JSD (bits): null, other head"
    assert measure_name("previous_token") == "Previous token"


def test_a_point_keeps_its_place(content: Row) -> None:
    scores = pd.DataFrame(
        [{"task": "one-nli", "model": "minilm", "architecture": "encoder", "domain": "general",
          "variant": "f10-s2", "percent": 10, "seed": 2, "metric": "accuracy", "value": 0.25,
          "low": None, "high": None}]
    )  # fmt: skip
    same = {"task": ["one-nli"], "metric": ["accuracy"], "inner measure": ["x"]}
    point = {"model": ["minilm"], "percent": [10], "seed": [2], "inner": [0.5], "score": [0.25]}
    correlation = {"statistic": ["spearman within fractions"], "placebo": [False], "value": [1.0],
                   "low": None, "high": None, "p_corrected": None, "n": [1],
                   "models": [1]}  # fmt: skip
    tables = {"scores": scores, "association": pd.DataFrame(same | correlation),
              "association-points": pd.DataFrame(same | point)}  # fmt: skip
    found = contents("one", tables, 0.9)
    assert found["tasks"]["one-nli"]["points"]["accuracy"]["x"] == [["minilm", 10, 2, 0.5, 0.25]]
    assert found["tasks"]["one-nli"]["scores"]["accuracy"]["minilm"]["f10-s2"] == [0.25, None, None]
    assert found["confidence"] == 0.9
