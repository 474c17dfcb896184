"""`kind: dataset`: what `datasets` finds in a repository, fetched from a hub on loopback and read.

The same sentences as plain JSON lines, as a folder of `save_to_disk`, and as Parquet of any hub
give the same table.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from fetching import DATA, REVISION, fetched, refused
from hub import Hub
from pydantic import TypeAdapter

from layerscope.config.base import Invalid
from layerscope.config.tasks import HubDataset, InFiles, LocalFiles, TaskSource, check_source
from layerscope.core.errors import UserError
from layerscope.core.files import read_json
from layerscope.data.labelled import read_task
from layerscope.download.dataset import layout

pytestmark = pytest.mark.slow

NO_LIMIT: dict[str, int | None] = dict.fromkeys(("train", "validation", "test"))
CLASSES = ["O", "B-gene", "I-gene", "B-cell"]
SENTENCES: dict[str, tuple[list[list[str]], list[list[int]]]] = {
    "train": ([["IL-2", "gene"], ["HeLa", "cells", "grow"]], [[1, 2], [3, 0, 0]]),
    "validation": ([["p53", "binds"]], [[1, 0]]),
    "test": ([["a", "T", "cell"], ["CD4"]], [[0, 3, 0], [1]]),
}
COLUMNS: dict[str, str | int] = {"tags": "ner_tags"}
CARD = """---
configs:
- config_name: bio
  data_files:
  - {split: train, path: "data/train-*"}
  - {split: dev, path: data/dev.parquet}
  - {split: test, path: data/test.parquet}
- config_name: pairs
  data_files: "pairs/*.csv"
dataset_info:
- config_name: bio
  features:
  - {name: tokens, sequence: string}
  - {name: ner_tags, sequence: {class_label: {names: {0: O, 1: B-gene, 2: I-gene, 3: B-cell}}}}
---
A description.
"""


def save(path: Path, split: str, rows: slice = slice(None)) -> None:
    """Numbers whose names are not in the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tokens, tags = SENTENCES[split]
    pq.write_table(pa.table({"tokens": tokens[rows], "ner_tags": tags[rows]}), path)


def named_sentences() -> Any:
    """The sentences as a `DatasetDict` that knows the names of its classes."""
    features = datasets.Features(
        tokens=datasets.List(datasets.Value("string")),
        ner_tags=datasets.List(datasets.ClassLabel(names=CLASSES)),
    )
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict({"tokens": tokens, "ner_tags": tags}, features)
            for split, (tokens, tags) in SENTENCES.items()
        }
    )


@pytest.fixture
def repository(hub: Hub) -> Path:
    """A data set of two configurations, described in its README; training data in two files."""
    folder = hub.repositories[f"datasets/{DATA}"].folder
    (folder / "some-data.py").unlink()
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "pairs").mkdir()
    (folder / "pairs" / "all.csv").write_text("premise,hypothesis,label\n")
    save(folder / "data" / "train-00000-of-00002.parquet", "train", slice(1))
    save(folder / "data" / "train-00001-of-00002.parquet", "train", slice(1, None))
    save(folder / "data" / "dev.parquet", "validation")
    save(folder / "data" / "test.parquet", "test")
    return folder


def settings(**changes: Any) -> dict[str, Any]:
    splits = {"train": "train", "validation": "dev", "test": "test"}
    place = {"repository": DATA, "revision": REVISION, "configuration": "bio", "splits": splits}
    return {**place, "sha256": {}, **changes}


def read(source: InFiles, folder: Path) -> Any:
    check_source("ner", source)
    return read_task("ner", source, folder, NO_LIMIT, 1)


@pytest.fixture
def plain(tmp_path: Path) -> Any:
    """The task from JSON lines."""
    folder = tmp_path / "plain"
    folder.mkdir()
    for split, (tokens, tags) in SENTENCES.items():
        rows = [
            {"tokens": words, "tags": [CLASSES[n] for n in numbers]}
            for words, numbers in zip(tokens, tags, strict=True)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {split: f"{split}.jsonl" for split in SENTENCES}
    return read(LocalFiles(kind="files", files=files, format="jsonl"), folder)


def dataset(**changes: Any) -> HubDataset:
    given = {key: value for key, value in settings().items() if key != "sha256"}
    return HubDataset(kind="dataset", columns=COLUMNS, **{**given, **changes})


def test_a_data_set_gives_the_table_that_plain_files_give(
    hub: Hub, repository: Path, tmp_path: Path, plain: Any
) -> None:
    result = fetched(hub, tmp_path, settings())
    out = tmp_path / "out"
    task = read(dataset(), out)
    assert task.splits == plain.splits
    assert task.labels == plain.labels
    assert task.facts["files"]["train"]["files"][1]["rows"] == 1
    noted = read_json(out / "source.json")
    assert noted["origin"]["revision"] == REVISION
    assert noted["splits"]["train"] == [f"data/train-0000{n}-of-00002.parquet" for n in (0, 1)]
    assert noted["classes"] == {"ner_tags": CLASSES}
    kept = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert kept == {*noted["files"], "source.json"}
    assert "data/dev.parquet: " in result.stdout  # digests, to be pasted
    assert f"{noted['files']['data/dev.parquet']['sha256']}" in result.stdout
    assert set(hub.files()) == {"README.md", *noted["files"]}  # and nothing of `pairs`


def test_no_name_of_a_repository_leads_out_of_the_folder_that_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the folder for temporary files may be a link, as on clusters."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "link"))
    victim = tmp_path / "victim"
    victim.write_text("whole")
    names = [str(victim), "../victim", "", "a//b", "train-0.parquet", "data/train/0.parquet"]
    found = layout("it", names, tmp_path, None, {"train": "train"})
    assert set(found.files["train"]) <= {"train-0.parquet", "data/train/0.parquet"}
    assert victim.read_text() == "whole"


def test_a_branch_of_converted_files_has_a_folder_for_each_configuration(
    hub: Hub, repository: Path, tmp_path: Path, plain: Any
) -> None:
    """As the hub converts a data set to Parquet: no description, names in the files."""
    for path in [*repository.rglob("*.*")]:
        path.unlink()
    for split, made in named_sentences().items():
        for name in ("bio", "other"):
            (repository / name / split).mkdir(parents=True)
            made.to_parquet(repository / name / split / "0000.parquet")
    names = dict(zip(SENTENCES, SENTENCES, strict=True))
    fetched(hub, tmp_path, settings(splits=names))
    assert read(dataset(splits=names), tmp_path / "out").splits == plain.splits
    assert all(name.startswith("bio/") for name in hub.files())


def _of_the_document(kind: str) -> InFiles:
    """The source that docs/own-data.md shows for the data set `diseases`."""
    text = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
    shown = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    (entry,) = [
        one["tasks"]["diseases"]
        for one in shown
        if one.get("tasks", {}).get("diseases", {}).get("source", {}).get("kind") == kind
    ]
    source: InFiles = TypeAdapter(TaskSource).validate_python(entry["source"])
    return source


def test_what_the_document_shows_reads_the_same_from_a_hub_and_from_a_folder(
    hub: Hub, tmp_path: Path, plain: Any
) -> None:
    saved = named_sentences()
    source = _of_the_document("dataset")
    assert isinstance(source, HubDataset)
    names = source.splits.model_dump()
    (tmp_path / "there").mkdir()
    for split, rows in saved.items():
        rows.to_parquet(tmp_path / "there" / f"{names[split]}.parquet")
    files = [{"split": name, "path": f"{name}.parquet"} for name in names.values()]
    card = {"configs": [{"config_name": source.configuration, "data_files": files}]}
    (tmp_path / "there" / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n")
    hub.publish(f"datasets/{source.repository}", tmp_path / "there", source.revision)
    asked = {"repository", "revision", "configuration", "splits"}
    fetched(hub, tmp_path, {**source.model_dump(include=asked), "sha256": {}})
    assert read(source, tmp_path / "out").splits == plain.splits

    local = _of_the_document("files")
    assert isinstance(local, LocalFiles)
    saved.save_to_disk(tmp_path / local.folder)
    assert read(local, tmp_path / local.folder).splits == plain.splits


def test_a_folder_of_save_to_disk_is_read(tmp_path: Path, plain: Any) -> None:
    saved = named_sentences()
    saved.save_to_disk(tmp_path / "saved", num_shards={"train": 2, "validation": 1, "test": 1})
    files = {split: f"{split}/data-*.arrow" for split in SENTENCES}
    source = LocalFiles(kind="files", files=files, format="arrow", columns=COLUMNS)
    task = read(source, tmp_path / "saved")
    assert task.splits == plain.splits
    assert task.facts["files"]["test"]["named_classes"] == 4


def _script(folder: Path) -> None:
    (folder / "README.md").unlink()
    (folder / "some-data.py").write_text("raise SystemExit('a loading script was run')")
    for path in folder.rglob("*.parquet"):
        path.unlink()


def _no_yaml(folder: Path) -> None:
    (folder / "README.md").write_text("---\nconfigs: [\n---\n")


def _nothing(folder: Path) -> None:
    pass


def _zipped(folder: Path) -> None:
    for path in folder.rglob("*.*"):
        path.unlink()
    (folder / "data.zip").write_bytes(b"PK")


def _shared(folder: Path) -> None:
    card = """---
configs:
- config_name: one
  data_files: [{split: train, path: data/*.parquet}, {split: test, path: data/test.parquet}]
---
"""
    (folder / "README.md").write_text(card)


#: What a description may not name: other hosts, other repositories, other folders.
ELSEWHERE = (
    "hf://datasets/other/private/train.parquet",
    "https://example.org/train.parquet",
    "zip://train.parquet::data.zip",
    "/etc/train.parquet",
    "../train.parquet",
)


def _leading(place: str, folder: Path) -> None:
    card = (folder / "README.md").read_text()
    # White space before the first line of dashes hides nothing.
    (folder / "README.md").write_text("\n" + card.replace("data/dev.parquet", place))


@pytest.mark.parametrize(
    ("change", "wanted", "said"),
    [
        (
            _nothing,
            {"configuration": None},
            "several configurations; allowed as `configuration`: bio, pairs",
        ),
        (_nothing, {"configuration": "news"}, "no configuration 'news'; allowed: bio, pairs"),
        (
            _nothing,
            {"splits": {"train": "train", "validation": "validation", "test": None}},
            "split 'validation' (validation): no such split; allowed: train, dev, test, or null",
        ),
        (
            _nothing,
            {"configuration": "pairs", "splits": {"train": "train"}},
            "split 'train' (train): is in pairs/all.csv; allowed: Parquet files, or the full "
            "commit of the branch refs/convert/parquet",
        ),
        *[
            (
                functools.partial(_leading, place),
                {},
                f"README.md has data in '{place}'; allowed: its own files",
            )
            for place in ELSEWHERE
        ],
        (
            _script,
            {"configuration": None},
            "`kind: hub` reads CSV, JSON lines and CoNLL (some-data.py is not run, as no program",
        ),
        (_no_yaml, {}, "README.md: while parsing a flow node; allowed: YAML"),
        (_zipped, {"configuration": None}, "`datasets` cannot read its layout (File is not a zip"),
        (
            _shared,
            {"configuration": None, "splits": {"train": "train", "test": "test"}},
            "'data/test.parquet' is of train and of test; allowed: each file in one split",
        ),
    ],
)
def test_what_cannot_be_had_is_one_line(
    change: Callable[[Path], None],
    wanted: dict[str, Any],
    said: str,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing is connected to."""

    def connect(*_: Any) -> None:
        pytest.fail("a connection was made")

    change(repository)
    monkeypatch.setattr("socket.socket.connect", connect)
    names = [path.relative_to(repository).as_posix() for path in repository.rglob("*.*")]
    given = settings(**wanted)
    with pytest.raises(UserError) as failed:
        layout("it", names, repository, given["configuration"], given["splits"])
    line = str(failed.value)
    assert line.startswith("it: ")
    assert said in line
    assert "\n" not in line


def test_what_was_fetched_is_what_was_required(hub: Hub, repository: Path, tmp_path: Path) -> None:
    """The program says in one line what is not, and asks for no more than it needs."""
    line = refused(hub, tmp_path, settings(sha256={"data/dev.parquet": "0" * 64}))
    assert line.startswith(f"error: dataset repository '{DATA}' at {REVISION}")
    assert "wanted " + "0" * 64 in line
    asked = ("README.md", "data/dev.parquet")
    assert {urlsplit(each.path).path for each in hub.requests} <= {
        f"/api/datasets/{DATA}/revision/{REVISION}",
        *(f"/datasets/{DATA}/resolve/{REVISION}/{name}" for name in asked),
    }


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        ({"splits": {"test": None}}, ("source", "splits", "test"), "a split, or a percentage in"),
        ({"splits": {"test": "train"}}, ("source", "splits", "train"), "'train' occurs twice"),
        (
            {"held_out": {"test": 10}},
            ("source", "held_out", "test"),
            "10, though splits.test names a split",
        ),
    ],
)
def test_splits_that_are_missing_or_named_twice(
    given: dict[str, Any], where: tuple[str, ...], said: str
) -> None:
    with pytest.raises(Invalid) as failed:
        check_source("ner", dataset(**given))
    assert failed.value.where == where
    assert said in str(failed.value)
