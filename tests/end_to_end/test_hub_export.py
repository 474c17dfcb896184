"""A finished study as folders for a hub: libraries of the hub read cards, tables and models."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from huggingface_hub import DatasetCard, ModelCard
from running import Finished
from transformers import AutoModelForTokenClassification

from layerscope.__main__ import parser
from layerscope.core.errors import UserError
from layerscope.provenance.hub_export import export

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("audit")]


def test_tables_and_models_are_read_by_others(finished: Finished, tmp_path: Path) -> None:
    results, out = finished.folder / "results" / "miniature", tmp_path / "out"
    command = ["export", results, "--out", out, "--variants", "f50-s1"]
    arguments = parser().parse_args([str(part) for part in command])
    arguments.carry_out(arguments)
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


def test_what_is_derived_from_data_under_an_agreement_stays(
    finished: Finished, tmp_path: Path
) -> None:
    results = finished.folder / "results" / "miniature"
    study = tmp_path / "results" / "miniature"
    shutil.copytree(results, study, copy_function=os.link)
    config = json.loads((results / "config.json").read_text())
    source = {"kind": "files", "credentialed": True, "folder": "/secret/place"}
    config["tasks"]["hpo-nli"]["source"] = source
    (study / "config.json").unlink()
    (study / "config.json").write_text(json.dumps(config))
    found = export(study, tmp_path / "out", ["f50-s2"])
    assert found.models == ["hpo-ner-bert-tiny-f50-s2", "hpo-ner-gpt-tiny-f50-s2"]
    assert found.left_out == dict.fromkeys(
        ("hpo-nli-bert-tiny-f50-s2", "hpo-nli-gpt-tiny-f50-s2"),
        "derived from hpo-nli, which is under an agreement",
    )
    assert "/secret" not in (tmp_path / "out" / "dataset" / "config.json").read_text()
    for arguments, words in [
        ((study, tmp_path / "out", []), "is there already"),
        ((study, tmp_path / "new", ["f9-s1"]), "variant 'f9-s1': .* allowed: f50-s1, f50-s2"),
        ((study.parent, tmp_path / "new", []), "allowed: a finished study's folder"),
    ]:
        with pytest.raises(UserError, match=words):
            export(*arguments)
    assert not (tmp_path / "new").exists()
