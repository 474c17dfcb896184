"""A finished study as folders that can be uploaded to a hub: its tables and figures, its models.

Nothing is uploaded. Models that learned from data under an agreement are left out, since texts can
be recovered from their weights; so are data, activations and predictions.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from layerscope.catalogue import SUMMARY
from layerscope.config.jobs import base_of, corpus_of, finetuned_variants
from layerscope.config.load import validate
from layerscope.config.schema import Study as Settings
from layerscope.config.targets import CONFIGURATION
from layerscope.core.errors import UserError
from layerscope.core.files import read_json, sha256_file, whole_directory, write_json
from layerscope.core.kinds import labels_examples
from layerscope.core.looks import METRICS
from layerscope.provenance.comparison.contents import commits
from layerscope.provenance.data_package import can_describe, describe_tables
from layerscope.provenance.expected import expected
from layerscope.provenance.finished import check_outputs, finished_jobs
from layerscope.provenance.studies import Study
from layerscope.run_records.content import output_entry

_NOT_STATED = "not stated"
ADAPTER = "adapter_config.json"
#: Entries of a source, by kind, that name or tell of places on the maker's machine.
_PLACES = {"files": ("folder", "files", "obtain", "train", "heldout"), "folder": ("path",)}

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

`tables/` has the numbers, each table as Parquet and as CSV, `figures/` what is drawn from them,
`config.json` every setting but the places of files, and `summary.md`, if it is there, the findings
in sentences. `datapackage.json`, if it is there, describes the columns of the CSV files, and the
metadata of each Parquet file those of its own. Prepared data, activations, predictions and models
are not part of this folder.
"""
_MODEL = """\
# {name}

{base}, fine-tuned on {percent} % of the training data of `{task}` ({examples} examples, {steps}
steps, seed {seed}) as part of the study `{study}`.

| measure on the test data | value | {confidence} interval |
|---|---|---|
{scores}

Intervals, where stated, are over groups of test examples. The model is one variant of a study of
inner changes: it was not tuned to be the best that this architecture can do, and was tested on this
data alone.

## How it was made

{adapter}By the workflow layerscope, commit {commit}, with {settings}.
Lineage, the digest of everything that the weights depend on: `{lineage}`.

Data: {source}. License of the data: {license}. To be cited: {citation}.
"""
_ADAPTER = """\
The weights are an adapter beside the base model, which is not part of this folder; `base.json` has
the digest of the base's files.

"""


class Exported(NamedTuple):
    """What an export holds, and what it leaves out with the reason."""

    models: list[str]
    left_out: dict[str, str]


def export(study: Study, out: Path, variants: Sequence[str]) -> Exported:
    """Write `dataset/` and `models/{task}-{model}-{variant}/`, each with a README.md card.

    Args:
        study: finished, with its records.
        out: new folder.
        variants: of the models to export, such as `f100-s1`; none: no models.

    Raises:
        UserError: the study is not finished or not what its records say, `out` is there already,
            or there is no such variant.
    """
    if out.exists():
        raise UserError(f"{out}: is there already; allowed: a new folder")
    asked = expected(study)
    if isinstance(asked, str):
        raise UserError(f"{study.results}: {asked}")
    jobs = finished_jobs(study, asked.results)
    check_outputs(study.root, jobs)
    made_by = ", ".join(commits(kept.record for kept in jobs))
    config = read_json(study.results / CONFIGURATION)
    settings = validate(config)
    places = _places(study, settings, variants)
    found = Exported([], {})
    with whole_directory(out) as folder:
        _write_dataset(study, asked.results, config, made_by, folder / "dataset")
        for place in places:
            name = "-".join(place)
            reason = withheld(settings, *place[:2])
            if reason:
                found.left_out[name] = reason
                continue
            _write_model(study, config, place, folder / "models" / name)
            found.models.append(name)
    return found


def withheld(settings: Settings, task: str, model: str) -> str | None:
    """Why a fine-tuned model may not be published: data under an agreement that it learned from."""
    if getattr(settings.tasks[task].source, "credentialed", False):
        return f"fine-tuned on {task}, which is under an agreement"
    before: str | None = model
    while before is not None:
        corpus = corpus_of(settings, before)
        if corpus is not None and getattr(settings.corpora[corpus].source, "credentialed", False):
            return f"pre-trained on {corpus}, which is under an agreement"
        before = base_of(settings, before)
    return None


def _places(
    study: Study, settings: Settings, variants: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Task, model and variant of each model that is asked for."""
    known = finetuned_variants(settings)
    for variant in variants:
        if variant not in known:
            raise UserError(f"variant '{variant}': allowed: {', '.join(known)}")
    return [
        (task, model, variant)
        for task in settings.tasks
        for model in settings.models
        for variant in variants
    ]


def _write_dataset(
    study: Study, results: Sequence[str], config: Mapping[str, Any], made_by: str, out: Path
) -> None:
    """Tables, figures, configuration and summary, and the card of a data set."""
    top = f"results/{study.name}/"
    wanted = [path.removeprefix(top) for path in results]
    for name in wanted:
        if name.startswith(("tables/", "figures/")) or name == SUMMARY.file:
            entry = output_entry(study.made[top + name].record, top + name) or {}
            file = study.place(top + name)
            if sha256_file(file) != entry.get("sha256"):
                raise UserError(f"{file}: not what its run record says; allowed: no edits")
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, out / name)
    write_json(out / CONFIGURATION, without_places(config))
    if can_describe():
        describe_tables(out, config["study"], f"layerscope: {config['study']}")
    domains = {model["domain"] for model in config["models"].values()}
    header = {
        "pretty_name": f"layerscope: {config['study']}",
        "license": "other",
        "tags": ["layerscope", "probing", "interpretability", *sorted(domains)],
        "configs": [
            {"config_name": table.stem, "data_files": f"tables/{table.name}"}
            for table in sorted((out / "tables").glob("*.parquet"))
        ],
    }
    body = _DATASET.format(
        study=config["study"],
        commit=made_by,
        tasks=_lines(
            (name, task["kind"], _stated(study, name)["license"], _source(task["source"]))
            for name, task in config["tasks"].items()
        ),
        models=_lines(
            (name, model["architecture"], model["domain"], _source(model["source"]))
            for name, model in config["models"].items()
        ),
    )
    _write_card(out, header, body)


def _write_model(
    study: Study, config: Mapping[str, Any], place: tuple[str, str, str], out: Path
) -> None:
    """Files of a fine-tuned model or adapter, and its card."""
    task, model, variant = place
    path = f"results/{study.name}/finetuned/{task}/{model}/{variant}"
    if path not in study.made:
        raise UserError(f"{path}: no run record; allowed: a model that the study fine-tuned")
    folder, record = study.place(path), study.made[path].record
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns(".*"))
    history = read_json(folder / "history.json")
    about, source = config["models"][model], config["tasks"][task]["source"]
    stated = _stated(study, task)
    is_adapter = (folder / ADAPTER).is_file()
    scores = _scores(study.results / "tables" / "scores.parquet", place)
    texts = labels_examples(config["tasks"][task]["kind"])
    kind = "text-classification" if texts else "token-classification"
    header = {
        "license": "other",
        "library_name": "peft" if is_adapter else "transformers",
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
        adapter=_ADAPTER if is_adapter else "",
        commit=", ".join(commits([record])),
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


def _stated(study: Study, task: str) -> dict[str, str]:
    """License and citation of a task's data, as its report has them."""
    source = read_json(study.results / "data" / task / "report.json")["source"]
    return {name: source.get(name, _NOT_STATED) for name in ("license", "citation")}


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the folders and files of the maker's machine."""
    kept = {**config, "references": None}
    for section in ("tasks", "corpora", "models"):
        kept[section] = {
            name: {
                **entry,
                "source": {
                    key: value
                    for key, value in entry["source"].items()
                    if key not in _PLACES.get(entry["source"]["kind"], ())
                },
            }
            for name, entry in config[section].items()
        }
    return kept


def _lines(rows: Iterable[Sequence[str]]) -> str:
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def _write_card(folder: Path, header: Mapping[str, Any], body: str) -> None:
    text = yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True)
    (folder / "README.md").write_text(f"---\n{text}---\n\n{body}", encoding="utf-8")
