"""`snakemake download`: everything that wants a network, and nothing else, on a login node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub, serving
from running import (
    MINIATURE,
    ROOT,
    Config,
    Job,
    plan,
    read_config,
    snakemake,
    write_config,
)

from layerscope.config import jobs
from layerscope.config.load import validate

REVISION = "0123456789abcdef0123456789abcdef01234567"
SPLITS = ("train", "validation", "test")


def study() -> Config:
    """The miniature with a model and two tasks of a hub: files by name, and a data set's splits."""
    config = read_config(MINIATURE)
    config["models"]["remote"] = {
        "architecture": "encoder",
        "domain": "general",
        "source": {"kind": "hub", "repository": "some/model", "revision": REVISION},
    }
    config["tasks"]["words"] = {
        "kind": "ner",
        "source": {
            "kind": "hub",
            "repository": "some/data",
            "revision": REVISION,
            "format": "jsonl",
            "files": {name: f"parts/{name}.json" for name in SPLITS},
            "labels": {"0": "O", "1": "B-x", "2": "I-x"},
        },
        "probes": ["linear"],
    }
    config["tasks"]["named"] = {
        "kind": "ner",
        "source": {
            "kind": "dataset",
            "repository": "some/dataset",
            "revision": REVISION,
            "splits": {"validation": None},
            "held_out": {"validation": 50},
        },
        "probes": ["linear"],
    }
    return config


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    model, data = tmp_path / "hub" / "model", tmp_path / "hub" / "data"
    model.mkdir(parents=True)
    (data / "parts").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        (model / name).write_text("{}")
    for name in SPLITS:
        lines = [
            json.dumps({"tokens": [f"{name}{index}", "is", "here"], "tags": [1, 2, 0]})
            for index in range(6)
        ]
        (data / "parts" / f"{name}.json").write_text("\n".join(lines) + "\n")
    columns = {"tokens": [["IL-2", "is"], ["HeLa", "too"]], "tags": [["B-x", "O"]] * 2}
    (tmp_path / "hub" / "dataset" / "data").mkdir(parents=True)
    for name in ("train", "test"):
        part = f"hub/dataset/data/{name}-00000-of-00001.parquet"
        pq.write_table(pa.table(columns), tmp_path / part)
    with serving() as hub:
        hub.publish("some/model", model, REVISION)
        hub.publish("datasets/some/data", data, REVISION)
        hub.publish("datasets/some/dataset", tmp_path / "hub" / "dataset", REVISION)
        yield hub


def test_a_dry_run_lists_what_is_fetched_and_nothing_else(tmp_path: Path) -> None:
    config = write_config(tmp_path / "study.yaml", study())
    found = plan(ROOT, tmp_path / "run", config, "--cores", "1", "download")
    assert found == {
        Job("fetch_model", (("model", "bert-tiny"),)),
        Job("fetch_model", (("model", "remote"),)),
        Job("fetch_files", (("task", "words"),)),
        Job("fetch_files", (("task", "named"),)),
        Job("download"),
    }


def test_a_study_without_a_hub_has_its_models_fetched(tmp_path: Path) -> None:
    found = plan(ROOT, tmp_path, MINIATURE, "--cores", "1", "download")
    assert found == {Job("fetch_model", (("model", "bert-tiny"),)), Job("download")}


def run(folder: Path, *options: str | Path, **variables: str) -> None:
    result = snakemake(ROOT, folder, *options, variables=variables)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_after_a_download_no_network_is_needed(hub: Hub, tmp_path: Path) -> None:
    """The proxies of the tests' environment lead nowhere; NO_PROXY lets the hub through."""
    config, folder = study(), tmp_path / "run"
    written = write_config(tmp_path / "study.yaml", config)
    options: list[str | Path] = ["--cores", "1", "--configfile", written]
    run(folder, "download", *options, HF_ENDPOINT=hub.endpoint, NO_PROXY="127.0.0.1")
    assert (folder / "resources" / "models" / "remote" / "source.json").is_file()
    assert (folder / "resources" / "datasets" / "words" / "parts" / "test.json").is_file()
    log = (folder / "logs" / "fetch_files" / "words.log").read_text()
    assert re.search(r"^  parts/test.json: [0-9a-f]{64}$", log, re.MULTILINE)

    report = "results/miniature/data/words/report.json"
    named = "results/miniature/data/named/report.json"
    run(folder, report, named, *options)
    held_out = json.loads((folder / named).read_text())["splits"]["validation"]
    assert held_out["entities"] == {"x": 1}
    assert plan(ROOT, folder, written, "--cores", "1", "download") == set()

    def again(change: dict[str, Any]) -> set[str]:
        changed = study()
        changed["tasks"]["words"]["source"] |= change
        path = write_config(tmp_path / "changed.yaml", changed)
        return {job.rule for job in plan(ROOT, folder, path, "--cores", "1", report)}

    # Reading files in another way is no reason to fetch them; another commit is.
    assert again({"labels": {"0": "O", "1": "B-y", "2": "I-y"}}) == {"prepare_task"}
    assert again({"revision": "f" * 40}) == {"fetch_files", "prepare_task"}

    # Nor is the digest that the log printed, and what else is said of the files; a wrong one stops.
    digests = dict(re.findall(r"^  (\S+): ([0-9a-f]{64})$", log, re.MULTILINE))
    assert (
        again({"sha256": digests, "license": "CC0", "examples": dict.fromkeys(SPLITS, 6)}) == set()
    )
    changed = study()
    changed["tasks"]["words"]["source"] |= {"sha256": {"parts/test.json": "0" * 64}}
    path = write_config(tmp_path / "wrong.yaml", changed)
    refused = snakemake(ROOT, folder, "--dry-run", "--cores", "1", "--configfile", path)
    assert refused.returncode == 1
    assert "tasks.words.source.sha256.parts/test.json: 00000" in refused.stdout
    assert "Traceback" not in refused.stdout


def test_what_wants_a_network_runs_where_snakemake_runs() -> None:
    """On a cluster, nodes may have none: such rules are local ones."""
    scripts = (ROOT / "workflow" / "scripts").glob("*.py")
    networked = {path.stem for path in scripts if "network=True" in path.read_text()}
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    local = set(re.findall(r"\w+", "".join(re.findall(r"^run_here\((.*)\)$", rules, re.MULTILINE))))
    assert networked == {"fetch_model", "fetch_files"}
    assert networked | {"configuration"} <= local


def test_only_files_of_a_hub_are_fetched() -> None:
    config = validate(study())
    assert json.loads(jobs.file_settings(config, "words")) == {
        "repository": "some/data",
        "revision": REVISION,
        "files": ["parts/test.json", "parts/train.json", "parts/validation.json"],
    }
    assert json.loads(jobs.file_settings(config, "named")) == {
        "repository": "some/dataset",
        "revision": REVISION,
        "configuration": None,
        "splits": {"train": "train", "validation": None, "test": "test"},
    }
    with pytest.raises(ValueError, match="'hpo-ner' has no files on a hub"):
        jobs.file_settings(config, "hpo-ner")
