"""A finished study as folders for a hub: libraries of the hub read cards, tables and models."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from frictionless import Package
from huggingface_hub import DatasetCard, ModelCard
from running import Finished
from transformers import AutoModelForTokenClassification

from layerscope.__main__ import parser
from layerscope.core.errors import UserError
from layerscope.provenance import data_package

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("audit")]


def call(*words: object) -> None:
    arguments = parser().parse_args(["export", *map(str, words)])
    arguments.carry_out(arguments)


def test_tables_and_models_are_read_by_others(finished: Finished, tmp_path: Path) -> None:
    results, out = finished.folder / "results" / "miniature", tmp_path / "out"
    call(results, "--out", out, "--variants", "f50-s1")
    card = DatasetCard.load(out / "dataset" / "README.md")
    files = {each["config_name"]: each["data_files"] for each in card.data.configs}
    assert {f"tables/{path.name}" for path in (results / "tables").glob("*.parquet")} == {
        *files.values()
    }
    scores = pd.read_parquet(out / "dataset" / files["scores"])
    folder = out / "models" / "hpo-ner-bert-tiny-f50-s1"
    model = ModelCard.load(folder / "README.md")
    row = scores[(scores["task"] == "hpo-ner") & (scores["model"] == "bert-tiny")]
    row = row[(row["variant"] == "f50-s1") & (row["metric"] == "entity_f1")]
    (found,) = [r for r in model.data.eval_results if r.metric_type == "entity_f1"]
    assert found.metric_value == pytest.approx(row["value"].item(), abs=1e-6)
    assert f"{row['low'].item():.3f} to {row['high'].item():.3f}" in model.text
    labels = json.loads((folder / "history.json").read_text())["labels"]
    assert AutoModelForTokenClassification.from_pretrained(folder).config.num_labels == len(labels)
    assert len([*(out / "models").iterdir()]) == 4
    assert str(finished.folder) not in "".join(p.read_text() for p in out.rglob("*.md"))


def test_tables_are_what_their_description_says(
    finished: Finished,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As frictionless reads them. Without it, all else is exported, and a line says so."""
    results, out = finished.folder / "results" / "miniature", tmp_path / "out"
    call(results, "--out", out)
    file = out / "dataset" / data_package.FILE
    package = Package(file)
    tables = {path.stem for path in (results / "tables").glob("*.csv")}
    assert {resource.name for resource in package.resources} == tables
    assert package.validate().flatten(["type", "note"]) == []
    scores = out / "dataset" / "tables" / "scores.csv"
    table = pd.read_csv(scores, dtype=str, keep_default_na=False)
    table.loc[0, ["value", "architecture"]] = ["1.5", "perceptron"]
    table.to_csv(scores, index=False)
    found = package.get_resource("scores").validate().flatten(["rowNumber", "fieldName"])
    assert [error for error in found if error[1]] == [[2, "architecture"], [2, "value"]]
    assert len(found) > 2  # its digest

    monkeypatch.setattr(data_package, "find_spec", lambda name: None)
    capsys.readouterr()
    call(results, "--out", tmp_path / "less")
    (line,) = [text for text in capsys.readouterr().out.splitlines() if data_package.FILE in text]
    assert line.endswith("not installed; `pip install frictionless -c constraints.txt`")
    left = {path.relative_to(tmp_path / "less") for path in (tmp_path / "less").rglob("*")}
    assert {path.relative_to(out) for path in out.rglob("*")} - left == {file.relative_to(out)}


def test_what_cannot_be_exported_is_said(finished: Finished, tmp_path: Path) -> None:
    results = tmp_path / "results" / "miniature"
    shutil.copytree(finished.folder / "results", tmp_path / "results", copy_function=os.link)
    (tmp_path / "resources").symlink_to(finished.folder / "resources")
    for words, message in [
        ([results, "--out", tmp_path], "is there already"),
        ([results, "--out", tmp_path / "new", "--variants", "f9-s1"], "allowed: f50-s1, f50-s2"),
        ([results.parent, "--out", tmp_path / "new"], "not a study"),
    ]:
        with pytest.raises(UserError, match=message):
            call(*words)
    figure = results / "figures" / "scores.svg"
    edited = figure.read_bytes().replace(b"svg", b"SVG")
    figure.unlink()
    figure.write_bytes(edited)
    with pytest.raises(UserError, match="not what its run record says"):
        call(results, "--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()
