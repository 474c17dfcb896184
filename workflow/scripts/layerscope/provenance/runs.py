"""What ran, as entities of a Provenance Run Crate 0.5: workflow, rules, jobs. Nothing is read here.

A rule is a tool and a step of the workflow; a job is an action of its tool, whose `object` is what
it read and how it was set, and whose `result` is what it made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple
from urllib.parse import quote

from layerscope.core.errors import UserError
from layerscope.core.lineage import mark
from layerscope.provenance.entities import ROOT, Graph
from layerscope.provenance.finished import job_name
from layerscope.provenance.places import command_without_places, without_places
from layerscope.run_records.content import Entry, Record

WORKFLOW = "Snakefile"
RUN = "#run"
_ORGANIZE = "#organize"
_COMPLETED = "http://schema.org/CompletedActionStatus"
_BYTE = "https://qudt.org/vocab/unit/BYTE"


class Job(NamedTuple):
    """A job's record, and the file that holds it."""

    record: Record
    file: Entry  # path, bytes, sha256


def add_run(
    graph: Graph,
    name: str,
    jobs: Sequence[Job],
    targets: Sequence[str],
    given: Sequence[Entry],
    rules: Mapping[str, str],
) -> None:
    """Add the run of a study with all that took part in it.

    Args:
        graph: to add to.
        name: of the study.
        jobs: all of them, ended well, in the order of their start.
        targets: paths of the results.
        given: files of its configuration.
        rules: what each rule of the workflow does.
    """
    records = [job.record for job in jobs]
    made = {output["path"]: output for record in records for output in record["outputs"]}
    _add_workflow(graph, records, rules)
    times = {"startTime": _time(records[0]["started"]), "endTime": ended(records)}
    graph.add(RUN, "CreateAction", name=f"study {name}", actionStatus=_COMPLETED, **times)
    graph.link(RUN, "instrument", WORKFLOW)
    graph.link(ROOT, "mentions", RUN)
    graph.add(_ORGANIZE, "OrganizeAction", name=f"Snakemake's run of the study {name}", **times)
    engines = sorted({record["versions"].get("snakemake", "unknown") for record in records})
    graph.link(_ORGANIZE, "instrument", *(graph.software("snakemake", e) for e in engines))
    graph.link(_ORGANIZE, "result", RUN)
    for job in jobs:
        graph.link(_ORGANIZE, "object", _add_job(graph, job, made))
    raw = [entry for record in records for entry in record["inputs"] if entry["path"] not in made]
    _add_files(graph, RUN, WORKFLOW, "input", {"configuration": list(given), "sources": raw})
    _add_files(graph, RUN, WORKFLOW, "output", {"results": [made[path] for path in targets]})


def ended(records: Sequence[Record]) -> str:
    """When the last of some jobs ended."""
    return _time(max(record["ended"] for record in records))


def _time(text: str) -> str:
    """A time of a record, as exact as the profile has it."""
    return datetime.fromisoformat(text).isoformat(timespec="milliseconds")


def _add_workflow(graph: Graph, records: Sequence[Record], rules: Mapping[str, str]) -> None:
    commits = {
        f"{record['commit']} with changes" if record["dirty"] else record["commit"]
        for record in records
        if record["commit"]
    }
    graph.add(
        WORKFLOW,
        ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        name="layerscope",
        version=", ".join(sorted(commits)),
    )
    for position, rule in enumerate(_in_order(records), 1):
        of_rule = [record for record in records if record["rule"] == rule]
        step = graph.add(f"#step/{rule}", "HowToStep", name=rule, position=str(position))
        tool = graph.add(
            f"#rule/{rule}",
            "SoftwareApplication",
            name=rule,
            description=rules.get(rule),
            softwareVersion=", ".join(sorted({record["code"]["digest"] for record in of_rule})),
        )
        versions = sorted({item for record in of_rule for item in record["versions"].items()})
        graph.link(tool, "softwareRequirements", *(graph.software(*each) for each in versions))
        graph.link(step, "workExample", tool)
        graph.link(WORKFLOW, "step", step)
        graph.link(WORKFLOW, "hasPart", tool)


def _in_order(records: Sequence[Record]) -> list[str]:
    """Rules, each after all that its jobs read from.

    Raises:
        UserError: a job read what was made from its own outputs.
    """
    maker = {output["path"]: n for n, record in enumerate(records) for output in record["outputs"]}
    before = {
        number: {maker[each["path"]] for each in record["inputs"] if each["path"] in maker}
        for number, record in enumerate(records)
    }
    depths: dict[int, int] = {}
    deepest: dict[str, int] = {}
    try:
        for number in TopologicalSorter(before).static_order():
            depths[number] = 1 + max((depths[other] for other in before[number]), default=0)
            rule = records[number]["rule"]
            deepest[rule] = max(deepest.get(rule, 0), depths[number])
    except CycleError as error:
        path = records[error.args[1][0]]["outputs"][0]["path"]
        raise UserError(f"{path}: by the run records it was made from itself") from None
    return sorted(deepest, key=lambda rule: (deepest[rule], rule))


def _add_job(graph: Graph, job: Job, made: Mapping[str, Entry]) -> str:
    """A job, and the action of Snakemake that started it, whose identifier it gives."""
    record = job.record
    rule, name = record["rule"], job_name(record)
    tool, path = f"#rule/{rule}", quote(name.replace(" ", "/"), safe="/=")
    action = graph.add(
        f"#job/{path}",
        "CreateAction",
        name=name,
        description=command_without_places(record["command"]),
        identifier=mark(record["lineage"]),
        startTime=_time(record["started"]),
        endTime=_time(record["ended"]),
        actionStatus=_COMPLETED,
    )
    graph.link(ROOT, "mentions", action)
    graph.link(action, "instrument", tool)
    graph.link(action, "subjectOf", graph.file(job.file))
    graph.link(action, "resourceUsage", *_add_resources(graph, record))
    inputs = [made.get(entry["path"], entry) for entry in record["inputs"]]
    _add_files(graph, action, tool, "input", _by_option(record, inputs, "further inputs"))
    outputs = record["outputs"]
    _add_files(graph, action, tool, "output", _by_option(record, outputs, "further outputs"))
    _add_settings(graph, action, tool, record)
    control = graph.add(f"#control/{path}", "ControlAction", name=f"start of {name}")
    graph.link(control, "instrument", f"#step/{rule}")
    graph.link(control, "object", action)
    return control


def _add_files(
    graph: Graph, action: str, tool: str, side: str, entries: Mapping[str, Sequence[Entry]]
) -> None:
    """Files that an action read (`input`) or made (`output`), by the name of the parameter."""
    for name, those in entries.items():
        for entry in those:
            file = graph.file(entry)
            kind = "Dataset" if file.endswith("/") else "File"
            parameter = graph.parameter(tool.removeprefix("#rule/"), name, kind)
            graph.link(tool, side, parameter)
            graph.link(action, "object" if side == "input" else "result", file)
            graph.link(file, "exampleOfWork", parameter)


def _add_settings(graph: Graph, action: str, tool: str, record: Record) -> None:
    """Options that name neither inputs nor outputs."""
    rule = record["rule"]
    files = {entry["path"] for entry in (*record["inputs"], *record["outputs"])}
    for option, value in record["parameters"].items():
        if all(isinstance(each, str) and each in files for each in _listed(value)):
            continue
        shown = without_places(value)
        parameter = graph.parameter(rule, option, _kind(shown))
        setting = graph.value(rule, option, shown)
        graph.link(tool, "input", parameter)
        graph.link(action, "object", setting)
        graph.link(setting, "exampleOfWork", parameter)


def _add_resources(graph: Graph, record: Record) -> list[str]:
    """What a job ran on, and how much of it, without the name of the machine."""
    machine = record["machine"]
    found = [
        graph.value("resource", name, record[name], propertyID=name, unitCode=_BYTE)
        for name in ("peak_memory_bytes", "peak_gpu_memory_bytes")
        if record[name] is not None
    ]
    named = [(name, machine[name]) for name in ("system", "processor", "cores")]
    named += [("gpu", f"{gpu['name']}, driver {gpu['driver']}") for gpu in machine["gpus"]]
    return found + [graph.value("resource", name, value, propertyID=name) for name, value in named]


def _by_option(record: Record, entries: Sequence[Entry], rest: str) -> dict[str, list[Entry]]:
    """Entries by the option that gave their path to the program."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        given = record["parameters"].items()
        options = (option for option, value in given if entry["path"] in _listed(value))
        found.setdefault(next(options, rest), []).append(entry)
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "Boolean"
    return "Number" if isinstance(value, int | float) else "Text"
