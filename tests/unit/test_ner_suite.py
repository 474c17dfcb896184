"""config/ner-suite.yaml reads eight corpora from files of their shapes, by its own settings.

What is fetched comes from a hub on loopback, at the commits that the study names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fetching import fetched
from hub import Hub

from layerscope.config.jobs import file_settings
from layerscope.config.load import read_yaml, validate
from layerscope.config.tasks import HubDataset, HubFiles, LocalFiles
from layerscope.data.labelled import read_task

STUDY = validate(read_yaml(Path(__file__).parents[2] / "config" / "ner-suite.yaml"))
NO_LIMIT: dict[str, int | None] = dict.fromkeys(("train", "validation", "test"))

#: An entity type of each corpus.
TYPES = {
    "jnlpba": "cell_line",
    "bc5cdr": "Chemical",
    "bc2gm": "GENE",
    "ncbi-disease": "Disease",
    "anatem": "Anatomy",
    "linnaeus": "Species",
    "cancer-genetics": "Gene_or_gene_product",
    "infectious-diseases": "Organism",
}
BC2GM = """---
configs:
- config_name: bc2gm_corpus
  default: true
  data_files:
  - {split: train, path: bc2gm_corpus/train-*}
  - {split: validation, path: bc2gm_corpus/validation-*}
  - {split: test, path: bc2gm_corpus/test-*}
dataset_info:
  config_name: bc2gm_corpus
  features:
  - {name: id, dtype: string}
  - {name: tokens, sequence: string}
  - {name: ner_tags, sequence: {class_label: {names: {0: O, 1: B-GENE, 2: I-GENE}}}}
---
"""


def sentence(split: str) -> list[str]:
    return ["In", split, ",", "two", "words", "."]


def tags(entity: str) -> list[str]:
    return ["O", "O", "O", f"B-{entity}", f"I-{entity}", "O"]


def save_json_lines(folder: Path, source: HubFiles, entity: str) -> None:
    assert source.labels is not None
    numbers = {tag: int(number) for number, tag in source.labels.items()}
    for split, names in source.files.by_split().items():
        row = {"tokens": sentence(split), "tags": [numbers[tag] for tag in tags(entity)]}
        (folder / names[0]).parent.mkdir(parents=True, exist_ok=True)
        (folder / names[0]).write_text(json.dumps(row) + "\n")


def save_parquet(folder: Path, entity: str) -> None:
    (folder / "bc2gm_corpus").mkdir(parents=True)
    (folder / "README.md").write_text(BC2GM)
    numbers = {"O": 0, f"B-{entity}": 1, f"I-{entity}": 2}
    for split in NO_LIMIT:
        rows = {"id": ["0"], "tokens": [sentence(split)]}
        table = pa.table({**rows, "ner_tags": [[numbers[tag] for tag in tags(entity)]]})
        pq.write_table(table, folder / "bc2gm_corpus" / f"{split}-00000-of-00001.parquet")


def save_conll(folder: Path, files: Mapping[str, list[str]], entity: str) -> None:
    folder.mkdir()
    for split, names in files.items():
        lines = [f"{word}\t{tag}" for word, tag in zip(sentence(split), tags(entity), strict=True)]
        (folder / names[0]).write_text("\n".join(lines) + "\n\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(STUDY.tasks))
def test_a_corpus_is_read_as_the_study_says(name: str, hub: Hub, tmp_path: Path) -> None:
    source, entity, folder = STUDY.tasks[name].source, TYPES[name], tmp_path / "out"
    if isinstance(source, LocalFiles):
        save_conll(folder, source.files.by_split(), entity)
    else:
        assert isinstance(source, HubFiles | HubDataset)
        source = source.model_copy(update={"sha256": {}, "examples": None})  # of the real files
        if isinstance(source, HubFiles):
            save_json_lines(tmp_path / "there", source, entity)
        else:
            save_parquet(tmp_path / "there", entity)
        hub.publish(f"datasets/{source.repository}", tmp_path / "there", source.revision)
        fetched(hub, tmp_path, {**json.loads(file_settings(STUDY, name)), "sha256": {}})
    task = read_task("ner", source, folder, NO_LIMIT, 1)
    assert set(task.labels) >= set(tags(entity))
    for split, rows in task.splits.items():
        assert [(row["tokens"], row["tags"]) for row in rows] == [(sentence(split), tags(entity))]


def test_licenses_and_citations_are_stated() -> None:
    assert len(STUDY.tasks) == 8
    for task in STUDY.tasks.values():
        assert isinstance(task.source, LocalFiles | HubFiles | HubDataset)
        assert "not stated" not in (task.source.license, task.source.citation)
