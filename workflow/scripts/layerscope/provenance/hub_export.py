"""A finished study as folders that can be uploaded to a hub: its tables and figures, its models.

Nothing is uploaded. Models fine-tuned on data under an agreement are left out, since texts can be
recovered from their weights; so are data, activations and predictions.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from layerscope.core.errors import UserError
from layerscope.core.files import read_json, whole_directory, write_json
from layerscope.core.looks import METRICS
from layerscope.run_records.content import find_record

#: Of transformers, by the kind of a task with one label per word; all others have one per example.
_WORDS = "ner"
_NOT_STATED = "not stated"
#: Entries of a configuration that name places on the maker's machine.
_PLACES = ("folder", "path", "references", "obtain")

_DATASET = """\
# {study}

Tables and figures of a study of how language models change, layer by layer, with fine-tuning, made
by the workflow layerscope, commit {commit}.

| task | kind | license of the data | source |
|---|---|---|---|
{tasks}

| model | architecture | domain | source |
|---|---|---|---|
{models}

`tables/` has the numbers, one Parquet file per table, `figures/` what is drawn from them,
`config.json` every setting but the places of files, and `summary.md`, if it is there, the findings
in sentences. Prepared data, activations, predictions and models are not part of this folder.
"""
_MODEL = """\
# {name}

{base}, fine-tuned on {percent} % of the training data of `{task}` ({examples} examples, {steps}
steps, seed {seed}) as part of the study `{study}`.

| measure on the test data | value | {confidence} interval |
|---|---|---|
{scores}

Intervals are over groups of test examples. The model is one variant of a study of inner changes:
it was not tuned to be the best that this architecture can do, and was tested on this data alone.

## How it was made

By the workflow layerscope, commit {commit}, with {settings}.
Lineage, the digest of everything that the weights depend on: `{lineage}`.

Data: {source}. License of the data: {license}. To be cited: {citation}.
"""


class Exported(NamedTuple):
    """What an export holds, and what it leaves out with the reason."""

    models: list[str]
    left_out: dict[str, str]


def export(results: Path, out: Path, variants: Sequence[str]) -> Exported:
    """Write `dataset/` and `models/{task}-{model}-{variant}/`, each with a README.md card.

    Args:
        results: folder of a finished study.
        out: new folder.
        variants: of the models to export, such as `f100-s1`; none: no models.

    Raises:
        UserError: the folder is no finished study, `out` is there already, or a variant is not.
    """
    if not (results / "config.json").is_file() or not (results / "tables").is_dir():
        raise UserError(f"{results}: no config.json and tables; allowed: a finished study's folder")
    if out.exists():
        raise UserError(f"{out}: is there already; allowed: a new folder")
    config = read_json(results / "config.json")
    folders = _folders(results, config, variants)
    found = Exported([], {})
    with whole_directory(out) as folder:
        _write_dataset(results, config, folder / "dataset")
        for task, model, variant in folders:
            name = f"{task}-{model}-{variant}"
            if config["tasks"][task]["source"].get("credentialed"):
                found.left_out[name] = f"derived from {task}, which is under an agreement"
                continue
            _write_model(results, config, (task, model, variant), folder / "models" / name)
            found.models.append(name)
    return found


def _folders(
    results: Path, config: Mapping[str, Any], variants: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Task, model and variant of each model that is asked for and there."""
    all_folders = [
        (task, model, folder.name)
        for task in config["tasks"]
        for model in config["models"]
        for folder in sorted((results / "finetuned" / task / model).glob("f*"))
        if folder.is_dir()
    ]
    known = sorted({variant for *_, variant in all_folders})
    for variant in variants:
        if variant not in known:
            allowed = ", ".join(known) or "none, since the study has no fine-tuned models"
            raise UserError(f"variant '{variant}': not in {results}; allowed: {allowed}")
    return [place for place in all_folders if place[2] in variants]


def _write_dataset(results: Path, config: Mapping[str, Any], out: Path) -> None:
    """Tables, figures, configuration and summary, and the card of a data set."""
    tables = sorted((results / "tables").glob("*.parquet"))
    figures = [
        path
        for path in sorted((results / "figures").glob("*"))
        if path.suffix in (".svg", ".pdf", ".png")
    ]
    for name, files in (("tables", tables), ("figures", figures)):
        (out / name).mkdir(parents=True)
        for file in files:
            shutil.copyfile(file, out / name / file.name)
    for name in ("summary.md", "tables/README.md"):
        if (results / name).is_file():
            shutil.copyfile(results / name, out / name)
    write_json(out / "config.json", _without_places(config))
    header = {
        "pretty_name": f"layerscope: {config['study']}",
        "license": "other",
        "tags": ["layerscope", "probing", "interpretability", "biomedical"],
        "configs": [
            {"config_name": table.stem, "data_files": f"tables/{table.name}"} for table in tables
        ],
    }
    body = _DATASET.format(
        study=config["study"],
        commit=_commit(results / "config.json"),
        tasks=_lines(
            (
                name,
                task["kind"],
                _stated(results, name)["license"],
                _source(task["source"]),
            )
            for name, task in config["tasks"].items()
        ),
        models=_lines(
            (name, model["architecture"], model["domain"], _source(model["source"]))
            for name, model in config["models"].items()
        ),
    )
    _write_card(out, header, body)


def _write_model(
    results: Path, config: Mapping[str, Any], place: tuple[str, str, str], out: Path
) -> None:
    """Files of a fine-tuned model or adapter, and its card."""
    task, model, variant = place
    folder = results / "finetuned" / task / model / variant
    record = find_record(folder)
    if record is None:
        raise UserError(f"{folder}: no run record; allowed: a model that the study fine-tuned")
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns(".*"))
    history = read_json(folder / "history.json")
    about, source = config["models"][model], config["tasks"][task]["source"]
    stated = _stated(results, task)
    scores = _scores(results / "tables" / "scores.parquet", place)
    words = config["tasks"][task]["kind"] == _WORDS
    kind = "token-classification" if words else "text-classification"
    header = {
        "license": "other",
        "library_name": "peft" if (folder / "adapter_config.json").is_file() else "transformers",
        "pipeline_tag": kind,
        "tags": ["layerscope", about["domain"]],
        **(
            {"base_model": about["source"]["repository"]} if "repository" in about["source"] else {}
        ),
        "model-index": [_index(out.name, kind, task, scores)],
    }
    percent, _, seed = variant.removeprefix("f").partition("-s")
    body = _MODEL.format(
        name=out.name,
        base=f"`{model}` ({_source(about['source'])})",
        percent=percent,
        task=task,
        examples=f"{history['examples']:,}",
        steps=f"{history['steps']:,}",
        seed=seed,
        study=config["study"],
        scores=_lines(
            (METRICS.get(row.metric, row.metric), f"{row.value:.3f}", _interval(row.low, row.high))
            for row in scores.itertuples()
        ),
        confidence=f"{100 * config['statistics']['confidence']:g} %",
        commit=record["commit"],
        lineage=record["lineage"],
        settings=", ".join(f"{name} {value}" for name, value in history["settings"].items()),
        source=_source(source),
        license=stated["license"],
        citation=stated["citation"],
    )
    _write_card(out, header, body)


def _scores(path: Path, place: tuple[str, str, str]) -> pd.DataFrame:
    """Rows of one model in the table of scores."""
    table = pd.read_parquet(path)
    chosen = (table[["task", "model", "variant"]] == list(place)).all(axis=1)
    return table[chosen & table["value"].notna()]


def _index(name: str, kind: str, task: str, scores: pd.DataFrame) -> dict[str, Any]:
    """Scores as the hub's pages show them."""
    metrics = [
        {"type": row.metric, "value": round(float(row.value), 6)} for row in scores.itertuples()
    ]
    return {
        "name": name,
        "results": [
            {"task": {"type": kind}, "dataset": {"name": task, "type": task}, "metrics": metrics}
        ],
    }  # fmt: skip


def _interval(low: float, high: float) -> str:
    return _NOT_STATED if pd.isna(low) else f"{low:.3f} to {high:.3f}"


def _source(source: Mapping[str, Any]) -> str:
    """Where data or a model come from, in words; no path of the maker's machine."""
    kind = source["kind"]
    if "repository" in source:
        return f"{source['repository']} at {source['revision']}"
    if kind == "package":
        return f"package {source['package']}"
    if kind == "continued":
        return f"{source['base']}, pre-trained further on {source['corpus']}"
    if kind == "scratch":
        return f"pre-trained from scratch on {source['corpus']}"
    return {"files": "files", "folder": "a folder"}.get(kind, kind)


def _stated(results: Path, task: str) -> dict[str, str]:
    """License and citation of a task's data, as its report has them."""
    source = read_json(results / "data" / task / "report.json")["source"]
    return {name: source.get(name, _NOT_STATED) for name in ("license", "citation")}


def _without_places(entry: Any) -> Any:
    """A configuration without the folders and files of the maker's machine."""
    if isinstance(entry, dict):
        kept = {key: value for key, value in entry.items() if key not in _PLACES}
        return {key: _without_places(value) for key, value in kept.items()}
    return [_without_places(each) for each in entry] if isinstance(entry, list) else entry


def _commit(output: Path) -> str:
    record = find_record(output)
    return str(record["commit"]) if record else _NOT_STATED


def _lines(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _write_card(folder: Path, header: Mapping[str, Any], body: str) -> None:
    text = yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True)
    (folder / "README.md").write_text(f"---\n{text}---\n\n{body}", encoding="utf-8")
