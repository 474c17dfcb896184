"""Record what a program does while it does it: `program.run` wraps every program in `recorded`.

Snakemake says with `--record JSON` which job this is: rule, wildcards, inputs, outputs, log and
commit. A program that is started by hand without it leaves no record, and an audit then finds what
it overwrote as changed by hand.

A record is there from the start, without `ended` and `exit`; that of a killed job stays so.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layerscope.core import lineage
from layerscope.core.code import code_digest, code_modules
from layerscope.core.files import in_folders, require_past, write_json, writer
from layerscope.run_records import machine
from layerscope.run_records.content import (
    Record,
    as_input,
    as_package,
    describe,
    read_record,
    record_path,
    self_digest,
)

FORMAT = 1
#: Seconds that clocks of nodes and file servers may differ: for jobs to start, and for audits.
CLOCKS = 300.0


def take_job(argv: list[str]) -> tuple[list[str], dict[str, Any] | None]:
    """A command line without `--record`, and what that said of the job, if it was there."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--record")
    known, rest = parser.parse_known_args(argv)
    return rest, json.loads(known.record) if known.record else None


def options_of(arguments: Sequence[str]) -> dict[str, Any]:
    """Options of a command line by name: JSON decoded, true without a value, lists of several."""
    found: dict[str, Any] = {}
    name = None
    for word in arguments:
        if word.startswith("--"):
            name = word[2:]
            found[name] = True
        elif name is not None:
            value = _decoded(word)
            before = found[name]
            if before is True:
                found[name] = value
            else:
                found[name] = [*(before if isinstance(before, list) else [before]), value]
    return found


def _decoded(word: str) -> Any:
    try:
        return json.loads(word) if word[:1] in '{["' or word.isdigit() else word
    except ValueError:
        return word


def seeds_of(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, int]:
    """Every number whose name ends with `seed`, at any depth."""
    found: dict[str, int] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            found |= seeds_of(value, f"{prefix}{name}.")
        elif name.endswith("seed") and isinstance(value, int):
            found[prefix + name] = value
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def begin(job: Mapping[str, Any], arguments: Sequence[str]) -> Record:
    """What is known of a job before it does anything.

    Args:
        job: `rule`, `study`, `wildcards`, `inputs` (names by folder), `outputs` (`path`,
            `temporary`), `packages`, `log`, `commit`, `dirty`, `configuration`, and `part`, the
            module that the program imports by name (`layerscope.core.code`), if it does so.
        arguments: the command line, the program first.
    """
    started = _now()
    name = Path(arguments[0]).stem
    parameters = options_of(arguments[1:])
    inputs = [as_input(path) for path in dict.fromkeys(in_folders(job["inputs"]))]
    inputs += [as_package(package) for package in job["packages"]]
    part = job.get("part")
    code = code_digest(name, part)
    return {
        "format": FORMAT,
        "study": job["study"],
        "rule": job["rule"],
        "wildcards": dict(job["wildcards"]),
        "program": name,
        "part": part,
        "command": shlex.join(["python", *arguments]),
        "parameters": parameters,
        "seeds": seeds_of(parameters),
        "inputs": inputs,
        "outputs": [
            {**output, "path": os.path.normpath(output["path"])} for output in job["outputs"]
        ],
        "log": {"path": job["log"]},
        "lineage": lineage.lineage(job["rule"], parameters, code, inputs),
        "code": {"digest": code, "modules": code_modules(name, part)},
        "commit": job["commit"],
        "dirty": job["dirty"],
        "configuration": job.get("configuration"),
        "versions": machine.versions(),
        "slurm": machine.slurm(),
        "writer": writer(),
        "started": started,
        "ended": None,
        "exit": None,
    }


def end(record: Mapping[str, Any], code: int) -> Record:
    """The record of a job that ended with an exit code: with its outputs, and what it took."""
    if code == 0:
        outputs = [
            {**output, **describe(output["path"])}
            for output in record["outputs"]
            if os.path.exists(output["path"])
        ]
        sys.stdout.flush()
        sys.stderr.flush()
        path = record["log"]["path"]
        log = describe(path) if path and os.path.exists(path) else record["log"]
    else:
        outputs, log = record["outputs"], record["log"]
    return {
        **record,
        "outputs": outputs,
        "log": log,
        "machine": machine.machine(),
        "peak_memory_bytes": machine.peak_memory(),
        "peak_gpu_memory_bytes": machine.peak_gpu_memory(),
        "ended": _now(),
        "exit": code,
    }


def _places(record: Mapping[str, Any]) -> list[Path]:
    """One record a folder that a job writes to, beside its first output there."""
    first: dict[Path, Path] = {}
    for output in record["outputs"]:
        first.setdefault(Path(output["path"]).parent, Path(output["path"]))
    return [record_path(output) for output in first.values()]


def _write(record: Mapping[str, Any], places: Sequence[Path]) -> None:
    whole = {**record, "digest": self_digest(record)}
    for path in places:
        write_json(path, whole)


def _is_own(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether no other process has begun the same job since."""
    found = read_record(path)
    return found is not None and found.get("writer") == record["writer"]


def _statement(record: Mapping[str, Any]) -> str:
    """Where a figure comes from, in one line."""
    files = ", ".join(
        f"{Path(each['path']).name} {each['sha256'][:12]}" for each in record["inputs"]
    )
    return (
        f"Made by layerscope, study {record['study']}, rule {record['rule']}, "
        f"code {record['code']['digest']}, from {files}. "
        f"Trace it with workflow/scripts/audit.py: {lineage.mark(record['lineage'])}"
    )


@contextmanager
def recorded(argv: list[str]) -> Iterator[list[str]]:
    """Record a program for the time of a block, if it was told its job.

    Yields:
        The command line that is left for the program.
    """
    arguments, job = take_job(argv)
    if job is None:
        yield arguments
        return
    require_past(in_folders(job["inputs"]), CLOCKS)
    record = begin(job, arguments)
    places = _places(record)
    _write(record, places)
    code = 1
    try:
        with lineage.running(lineage.Origin(record["lineage"], _statement(record))):
            yield arguments
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        raise
    finally:
        mine = [path for path in places if _is_own(path, record)]
        _write(end(record, code), mine)
