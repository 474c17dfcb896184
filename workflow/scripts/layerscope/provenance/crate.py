"""Export a study as a Workflow Run RO-Crate (Provenance Run Crate 0.5), for others to read.

All of it comes from run records and small files beside them: the same records give the same bytes.
What is large is described by the digest and size in its record, and neither copied nor read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from layerscope.core.code import SCRIPTS
from layerscope.core.errors import UserError
from layerscope.core.files import read_json, sha256_file, whole_directory
from layerscope.provenance.entities import ROOT, Entity, Graph
from layerscope.provenance.finished import check_outputs, finished_jobs
from layerscope.provenance.places import names_places
from layerscope.provenance.runs import WORKFLOW, Job, add_run, ended
from layerscope.provenance.studies import Kept, Study
from layerscope.run_records.content import Entry

#: Results that are copied, if they are no larger than this; a table of a large study may be.
COPIED_ENDINGS = (".svg", ".csv", ".json")
COPIED_BYTES = 5_000_000
_METADATA = "ro-crate-metadata.json"
_TERMS = {
    term: f"https://w3id.org/ro/terms/workflow-run#{term}" for term in ("sha256", "resourceUsage")
}
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
Copies = dict[str, Path]  # path in the crate, and the file that is copied


def export(
    study: Study,
    targets: Sequence[str],
    configuration: Mapping[str, Any],
    given: Sequence[Path],
    rules: Mapping[str, str],
    out: Path,
    workflow: Path = SCRIPTS.parent.parent,
) -> None:
    """Write the crate of a finished study; nothing is run, and nothing large is read.

    Args:
        study: with its records.
        targets: what the study gives, as paths from its root.
        configuration: of the study, as it is now.
        given: files that it was read from.
        rules: what each rule of the workflow does, in a line.
        out: folder to make.
        workflow: folder with `Snakefile` and `CITATION.cff`.

    Raises:
        UserError: the study is not finished, or is not what its records say.
    """
    jobs = finished_jobs(study, targets)
    check_outputs(study.root, jobs)
    if read_json(study.results / "config.json") != configuration:
        raise UserError(
            f"{study.results / 'config.json'}: not the configuration that is given; "
            "allowed: that of the last run"
        )
    sources = _sources(workflow)
    settings = _settings(given)
    copies = {**sources, **_results(study, jobs, targets), **settings}
    graph = Graph(copies)
    add_run(
        graph,
        study.name,
        [Job(kept.record, _entry(_within(study, kept.file), kept.file)) for kept in jobs],
        targets,
        [_entry(path, file) for path, file in settings.items()],
        rules,
    )
    for path, file in sources.items():
        graph.file(_entry(path, file))
    _add_root(graph, study.name, ended([kept.record for kept in jobs]), workflow)
    with whole_directory(out) as partial:
        _write(graph.entities(), copies, partial)


def _within(study: Study, file: Path) -> str:
    return file.relative_to(study.root).as_posix()


def _entry(path: str, file: Path) -> Entry:
    return {"path": path, "bytes": file.stat().st_size, "sha256": sha256_file(file)}


# --- what is copied ------------------------------------------------------------------------------


def _sources(workflow: Path) -> Copies:
    files = [
        workflow / WORKFLOW,
        workflow / "workflow" / "Snakefile",
        *sorted(workflow.glob("workflow/rules/*.smk")),
    ]
    return {file.relative_to(workflow).as_posix(): file for file in files}


def _results(study: Study, jobs: Sequence[Kept], targets: Sequence[str]) -> Copies:
    """Small figures, tables and reports, but none that names a place of this machine."""
    made = {output["path"]: output for kept in jobs for output in kept.record["outputs"]}
    found: Copies = {}
    for path in targets:
        file = study.root / path
        if not path.endswith(COPIED_ENDINGS) or made[path]["bytes"] > COPIED_BYTES:
            continue
        if sha256_file(file) != made[path]["sha256"]:
            raise UserError(f"{file}: not what its run record says; allowed: no edits")
        if not (path.endswith(".json") and names_places(read_json(file))):
            found[path] = file
    return found


def _settings(given: Sequence[Path]) -> Copies:
    """Files of the configuration that are there and name no place of this machine."""
    found: Copies = {}
    for number, file in enumerate(given, 1):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            if not names_places([text, yaml.safe_load(text)]):
                found[f"configuration/{number}-{file.name}"] = file
    return found


# --- what is said of the whole -------------------------------------------------------------------


def _add_root(graph: Graph, name: str, published: str, workflow: Path) -> None:
    """The crate itself: published when the study was finished, by those whom CITATION.cff names."""
    graph.add(
        ROOT,
        "Dataset",
        name=f"layerscope: study {name}",
        description=(
            f"What the study {name} made, from what and how: its figures and tables, and each job "
            "of the workflow layerscope with inputs, parameters, outputs and their digests. Files "
            "whose @id begins with # are described but not contained."
        ),
        datePublished=published,
    )
    for own, (profile, version) in _PROFILES.items():
        graph.add(own, "CreativeWork", name=profile, version=version)
        graph.link(ROOT, "conformsTo", own)
    bioschemas = graph.add(
        _BIOSCHEMAS, "CreativeWork", name="Bioschemas ComputationalWorkflow", version="1.0-RELEASE"
    )
    graph.link(WORKFLOW, "conformsTo", bioschemas)
    citation = _citation(workflow / "CITATION.cff")
    graph.add(WORKFLOW, "File", codeRepository=citation.get("repository-code"))
    licence = f"https://spdx.org/licenses/{citation['license']}"
    graph.add(licence, "CreativeWork", name=citation["license"], identifier=citation["license"])
    for number, author in enumerate(citation["authors"], 1):
        person = " ".join(author[key] for key in ("given-names", "family-names") if key in author)
        kind = "Person" if person else "Organization"
        own = graph.add(f"#author/{number}", kind, name=person or author["name"])
        for whole in (ROOT, WORKFLOW):
            graph.link(whole, "author", own)
    for whole in (ROOT, WORKFLOW):
        graph.link(whole, "license", licence)


def _citation(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; allowed: one that names authors") from None
    return found


# --- writing -------------------------------------------------------------------------------------


def _write(entities: Sequence[Entity], copies: Mapping[str, Path], folder: Path) -> None:
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms.update(_TERMS)
    own = {entity["@id"]: entity for entity in entities}
    files = {Graph(copies).identifier({"path": path}): path for path in copies}
    for name in (WORKFLOW, *(each for each in files if each != WORKFLOW)):
        file, path = copies[files[name]], files[name]
        if name == WORKFLOW:
            crate.add_workflow(file, path, main=True, lang="snakemake", properties=own[name])
        else:
            crate.add_file(file, path, properties=own[name])
    for name, entity in own.items():
        if name not in (ROOT, *files):
            crate.add(ContextEntity(crate, name, properties=entity))
    for term, value in own[ROOT].items():
        if not term.startswith("@"):
            crate.root_dataset[term] = value
    crate.write(folder)
    written = crate.metadata.generate()
    written["@graph"].sort(key=lambda each: (each["@id"] not in (_METADATA, ROOT), each["@id"]))
    text = json.dumps(written, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (folder / _METADATA).write_text(text + "\n", encoding="utf-8")
