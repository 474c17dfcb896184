"""Crates of the miniature study: making them, and reading what they say."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from running import Finished, snakemake

NAME = "miniature"
RESULTS = f"results/{NAME}"
METADATA = "ro-crate-metadata.json"
Entity = dict[str, Any]
Record = dict[str, Any]


def linked(source: Path, to: Path) -> Path:
    """A copy by links: files in it are replaced, never written into."""
    shutil.copytree(source, to, copy_function=os.link, ignore=shutil.ignore_patterns(".snakemake"))
    return to


def make(study: Finished, folder: Path, *beside: str) -> tuple[int, str]:
    """Make the crate, and `beside` it what further targets are."""
    options = ("--cores", 1, "--configfile", study.config, "--nocolor")
    result = snakemake(study.workflow, folder, "crate", *beside, *options)
    return result.returncode, result.stdout


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def refs(entity: Entity, term: str) -> list[str]:
    return [each["@id"] for each in many(entity.get(term, []))]


def of_type(graph: dict[str, Entity], kind: str) -> list[Entity]:
    return [each for each in graph.values() if kind in many(each["@type"])]


def jobs_of(graph: dict[str, Entity]) -> dict[str, Entity]:
    """Actions of jobs by name, as `rule wildcard=value ...`."""
    actions = [each for each in of_type(graph, "CreateAction") if each["@id"] != "#run"]
    found = {action["name"]: action for action in actions}
    assert len(found) == len(actions)
    return found


def name_of(rule: str, wildcards: dict[str, str]) -> str:
    return " ".join([rule, *(f"{name}={value}" for name, value in sorted(wildcards.items()))])


def files_of(graph: dict[str, Entity], action: Entity, term: str) -> dict[str, Entity]:
    entities = [graph[own] for own in refs(action, term)]
    return {each["name"]: each for each in entities if each["@type"] in ("File", "Dataset")}


def one_of_each_rule(graph: dict[str, Entity]) -> list[Entity]:
    """The first job of each rule."""
    found: dict[str, Entity] = {}
    for job in jobs_of(graph).values():
        found.setdefault(*refs(job, "instrument"), job)
    return list(found.values())


def excerpt(graph: dict[str, Entity], jobs: Sequence[Entity]) -> dict[str, Entity]:
    """Some jobs with what they read, made, ran and took: the validator takes long for all."""
    own = {job["@id"] for job in jobs}
    started = [each for each in of_type(graph, "ControlAction") if own & {*refs(each, "object")}]
    tools = [graph[name] for job in jobs for name in refs(job, "instrument")]
    main = graph["Snakefile"]
    wanted = {entity["@id"] for entity in (*jobs, *started)}
    wanted |= {*refs(main, "input"), *refs(main, "output")}
    for entity in (*jobs, *started, *tools, graph["#run"]):
        wanted |= {each["@id"] for value in entity.values() for each in _references(value)}
    parts = {"CreateAction", "ControlAction", "File", "Dataset", "PropertyValue", "HowToStep"}
    parts |= {"SoftwareApplication", "FormalParameter"}
    kept = {
        name: entity
        for name, entity in graph.items()
        if name in {*wanted, "./", "#run", "Snakefile"} or not parts & {*many(entity["@type"])}
    }
    gone = set(graph) - set(kept)
    return {name: _without(entity, gone) for name, entity in kept.items()}


def _references(value: Any) -> list[Entity]:
    return [each for each in many(value) if isinstance(each, dict)]


def _without(entity: Entity, gone: set[str]) -> Entity:
    """An entity whose lists no longer refer to what is gone."""
    return {
        term: [each for each in value if each.get("@id") not in gone]
        if isinstance(value, list) and _references(value)
        else value
        for term, value in entity.items()
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def replace(path: Path, value: Any) -> None:
    path.unlink()
    path.write_text(json.dumps(value), encoding="utf-8")
