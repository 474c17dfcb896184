"""`snakemake crate`: valid, and true: compared with the records, the files and the DAG themselves.

The validator sees form alone; that jobs, files and settings are those of the study is seen here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
from rocrate.rocrate import ROCrate
from running import ROOT, Finished, environment, snakemake

from layerscope.errors import UserError
from layerscope.files import read_json, sha256_directory
from layerscope.provenance.crate import export
from layerscope.provenance.studies import read_study
from layerscope.records.content import self_digest

pytestmark = pytest.mark.xdist_group("miniature")

NAME = "miniature"
RESULTS = f"results/{NAME}"
METADATA = "ro-crate-metadata.json"
Entity = dict[str, Any]
Record = dict[str, Any]


# --- the crate, and what it is compared with -----------------------------------------------------


def linked(source: Path, to: Path) -> Path:
    """A copy by links: files in it are replaced, never written into."""
    shutil.copytree(source, to, copy_function=os.link, ignore=shutil.ignore_patterns(".snakemake"))
    return to


def make(study: Finished, folder: Path) -> tuple[int, str]:
    result = snakemake(
        study.workflow, folder, "crate", "--cores", 1, "--configfile", study.config, "--nocolor"
    )
    return result.returncode, result.stdout


@pytest.fixture(scope="module")
def folder(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory of a finished study that has its crate."""
    folder = linked(finished.folder, tmp_path_factory.mktemp("crate") / "run")
    code, output = make(finished, folder)
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


# --- it is valid ---------------------------------------------------------------------------------


def validate(*crates: Path) -> dict[str, list[str]]:
    result = subprocess.run(
        [sys.executable, ROOT / "tests" / "crates.py", *crates],
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


def with_a_rule_that_never_ran(graph: dict[str, Entity]) -> None:
    graph["#rule/never"] = {"@id": "#rule/never", "@type": "SoftwareApplication", "name": "never"}
    graph["Snakefile"]["hasPart"].append({"@id": "#rule/never"})


def without_an_instrument(graph: dict[str, Entity]) -> None:
    del next(iter(jobs_of(graph).values()))["instrument"]


def without_a_step_of_a_control_action(graph: dict[str, Entity]) -> None:
    del of_type(graph, "ControlAction")[0]["instrument"]


BREAKS = (
    without_license,
    with_a_rule_that_never_ran,
    without_an_instrument,
    without_a_step_of_a_control_action,
)


def test_the_validator_passes_it_and_refuses_what_is_broken(crate: Path, tmp_path: Path) -> None:
    crates = [crate]
    for change in BREAKS:
        crates.append(linked(crate, tmp_path / change.__name__))
        written = read_json(crate / METADATA)
        graph = {each["@id"]: each for each in written["@graph"]}
        change(graph)
        replace(crates[-1] / METADATA, {**written, "@graph": list(graph.values())})
    found = validate(*crates)
    assert found.pop(str(crate)) == []
    assert [name for name, problems in found.items() if not problems] == []
    assert len(found) == len(BREAKS)


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
    """Figures, tables, reports, the configuration and the workflow; no data and no predictions."""
    there = {str(path.relative_to(crate)) for path in crate.rglob("*") if path.is_file()}
    (everything,) = (job for job in finished.everything if job.rule == "all")
    wanted = {path for path in everything.inputs if path.endswith((".svg", ".csv", ".json"))}
    assert f"{RESULTS}/config.json" in wanted
    rules = {f"workflow/rules/{p.name}" for p in finished.workflow.glob("workflow/rules/*.smk")}
    own = {METADATA, "Snakefile", f"configuration/1-{finished.config.name}"}
    assert there == wanted | rules | own
    size = sum((crate / path).stat().st_size for path in there)
    assert size < 10_000_000


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


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_records_give_the_same_bytes(
    folder: Path, finished: Finished, tmp_path: Path
) -> None:
    """In another folder, at another time, over an older crate."""
    elsewhere = linked(folder, tmp_path / "elsewhere")
    (elsewhere / RESULTS / "crate" / "old").write_text("old")
    code, output = make(finished, elsewhere)
    assert code == 0, output
    assert contents(elsewhere / RESULTS / "crate") == contents(folder / RESULTS / "crate")


# --- planted -------------------------------------------------------------------------------------


def replace(path: Path, value: Any) -> None:
    path.unlink()
    path.write_text(json.dumps(value), encoding="utf-8")


class Copy(NamedTuple):
    """A finished study of which a test may replace files."""

    folder: Path
    targets: list[str]
    config: Path
    workflow: Path

    def export(self, **changes: Any) -> dict[str, Entity]:
        given = {
            "configuration": read_json(self.folder / RESULTS / "config.json"),
            "given": [self.config],
            "rules": {},
            "out": self.folder / "crate",
            "workflow": self.workflow,
        }
        export(read_study(self.folder, NAME), self.targets, **(given | changes))
        return {e["@id"]: e for e in read_json(self.folder / "crate" / METADATA)["@graph"]}

    def edit(self, output: str, change: Callable[[Record], None], whole: bool = True) -> None:
        """Change a record, and its own digest with it."""
        path = self.folder / f"{output}.run.json"
        record = read_json(path)
        change(record)
        replace(path, record | ({"digest": self_digest(record)} if whole else {}))


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Copy:
    (everything,) = (job for job in finished.everything if job.rule == "all")
    folder = linked(finished.folder, tmp_path / "run")
    return Copy(folder, list(everything.inputs), finished.config, finished.workflow)


SCORES = f"{RESULTS}/tables/scores.parquet"
PROBES = f"{RESULTS}/parts/probes/hpo-ner/minilm.parquet"
ACTIVATIONS = f"{RESULTS}/activations/hpo-ner/minilm/random"
FIGURE = f"{RESULTS}/figures/scores.svg"


def failed(record: Record) -> None:
    record["exit"] = 1


def stopped(record: Record) -> None:
    record["exit"] = record["ended"] = None


def of_another_input(record: Record) -> None:
    record["inputs"][0]["sha256"] = "0" * 64


@pytest.mark.parametrize(
    ("output", "change", "message"),
    [
        (PROBES, failed, "part_probes model=minilm task=hpo-ner failed with exit code 1"),
        (PROBES, stopped, "part_probes model=minilm task=hpo-ner did not end"),
        (FIGURE, of_another_input, f"{SCORES}: figure_scores read 000000000000, which it is not"),
    ],
)
def test_a_job_that_is_not_sound_is_named(
    output: str, change: Callable[[Record], None], message: str, copy: Copy
) -> None:
    copy.edit(output, change)
    with pytest.raises(UserError, match=re.escape(message)):
        copy.export()
    assert not (copy.folder / "crate").exists()


def test_an_edited_record_is_named(copy: Copy) -> None:
    copy.edit(PROBES, lambda record: record["seeds"].update(seed=3), whole=False)
    with pytest.raises(UserError, match="not what part_probes model=minilm task=hpo-ner recorded"):
        copy.export()


@pytest.mark.parametrize("removed", [FIGURE, PROBES, f"{RESULTS}/scores/hpo-nli/minilm.json"])
def test_a_missing_record_is_named(removed: str, copy: Copy) -> None:
    (copy.folder / f"{removed}.run.json").unlink()
    with pytest.raises(UserError, match=f"{removed}: no "):
        copy.export()


def test_a_missing_output_is_named(copy: Copy) -> None:
    path = copy.folder / ACTIVATIONS / "word" / "test.parquet"
    path.unlink()
    with pytest.raises(UserError, match=f"{path}: missing, and a run record lists it"):
        copy.export()


def test_another_size_is_named(copy: Copy) -> None:
    path = copy.folder / SCORES
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + b"more")
    with pytest.raises(UserError, match=f"{path}: {len(content) + 4} bytes; allowed: "):
        copy.export()


def test_an_edited_figure_of_the_same_size_is_named(copy: Copy) -> None:
    path = copy.folder / FIGURE
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.replace(b"accuracy", b"precison", 1).replace(b"<", b">", 1))
    assert path.stat().st_size == len(content)
    with pytest.raises(UserError, match=f"{path}: not what its run record says"):
        copy.export()


def test_another_configuration_is_named(copy: Copy) -> None:
    with pytest.raises(UserError, match=r"config\.json: not the configuration that is given"):
        copy.export(configuration={"study": NAME})


def test_a_temporary_output_that_is_gone_is_described(copy: Copy) -> None:
    output: dict[str, Any] = {}

    def passing(record: Record) -> None:
        output.update(record["outputs"][0])
        assert output["path"] == ACTIVATIONS
        record["outputs"][0]["temporary"] = True

    copy.edit(ACTIVATIONS, passing)
    attention = ACTIVATIONS.replace("activations", "attention") + ".parquet"
    copy.edit(attention, lambda record: record["outputs"][0].update(temporary=True))
    shutil.rmtree(copy.folder / ACTIVATIONS)
    graph = copy.export()
    entity = graph[f"#{ACTIVATIONS}/"]
    assert (entity["sha256"], entity["contentSize"]) == (output["sha256"], str(output["bytes"]))
    assert entity["description"] == "Removed once it was read."
    for file in output["files"]:
        assert graph[f"#{ACTIVATIONS}/{file['path']}"]["sha256"] == file["sha256"]


def test_what_an_earlier_configuration_left_is_no_part(copy: Copy) -> None:
    """Nor do its failures matter."""
    left = copy.folder / RESULTS / "scores/hpo-nli/gone.json"
    shutil.copyfile(left.with_name("minilm.json"), left)

    def gone(record: Record) -> None:
        record["outputs"][0]["path"] = f"{RESULTS}/scores/hpo-nli/gone.json"
        record["wildcards"]["scored"] = "gone"
        record["exit"] = 1

    source = copy.folder / RESULTS / "scores/hpo-nli/minilm.json.run.json"
    shutil.copyfile(source, left.with_name("gone.json.run.json"))
    copy.edit(f"{RESULTS}/scores/hpo-nli/gone.json", gone)
    graph = copy.export()
    assert not [own for own in graph if "gone" in own]


HOST, USER = "planted-host.example", "planted-user"
PLACES = (f"/home/{USER}/my data/train.csv", f"~{USER}/data/test.csv", f"../{USER}/models/bert")


def test_hosts_users_and_paths_stay_at_home(copy: Copy, tmp_path: Path) -> None:
    task = f"{RESULTS}/data/hpo-ner/train.parquet"

    def plant(record: Record) -> None:
        record["machine"]["host"] = HOST
        record["writer"] = f"{HOST}-17"
        record["slurm"] = {"job": "1", "node": HOST}
        record["parameters"]["folder"] = PLACES[0]
        record["parameters"]["settings"]["note"] = [f"see {PLACES[1]}, or {PLACES[2]}"]
        record["command"] += shlex.join(["", "--folder", PLACES[0], json.dumps([PLACES[0]])])
        record["inputs"] += [
            {"path": path, "bytes": 3, "sha256": f"{number}" * 64, "lineage": None}
            for number, path in enumerate(PLACES)
        ]

    copy.edit(task, plant)
    config = tmp_path / "study.yaml"
    config.write_text(f"study: {NAME}\n# of {PLACES[0]}\n", encoding="utf-8")
    graph = copy.export(given=[config])
    everything = b"".join(contents(copy.folder / "crate").values()).decode(errors="replace")
    for secret in (HOST, USER, str(tmp_path), str(copy.workflow)):
        assert secret not in everything
    assert not (copy.folder / "crate" / "configuration").exists()
    job = jobs_of(graph)["prepare_task task=hpo-ner"]
    own = {name for name in files_of(graph, job, "object") if not name.startswith("package")}
    assert own == {"train.csv", "test.csv", "bert"}
    values = {graph[own]["name"]: graph[own].get("value") for own in refs(job, "object")}
    assert values["folder"] == "train.csv"
    assert json.loads(values["settings"])["note"] == ["see test.csv, or bert"]


def test_a_study_that_never_ran_is_one_line(finished: Finished, tmp_path: Path) -> None:
    code, output = make(finished, tmp_path)
    assert code == 1
    (line,) = (line for line in output.splitlines() if line.startswith("error: "))
    assert line == f"error: {RESULTS}: no such folder; allowed: one of results/: none"
    assert "Traceback" not in output
    assert not (tmp_path / "results").exists()
