"""Run records: of a program that ends well, fails, is killed, or is overtaken by another."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from recorded_studies import ran, whole_record

from layerscope.core.code import code_digest, code_modules
from layerscope.core.errors import UserError, printable
from layerscope.core.files import (
    by_folder,
    canonical_json,
    sha256_file,
    write_json,
)
from layerscope.provenance.studies import read_study
from layerscope.run_records.content import (
    ENDING,
    as_input,
    describe,
    find_record,
    load_record,
    package_of,
    self_digest,
)
from layerscope.run_records.recorder import options_of, seeds_of, take_job

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
PROGRAM = "write_config.py"


def job(folder: Path, outputs: list[str], inputs: list[str] | None = None) -> str:
    return canonical_json(
        {
            "rule": "configuration",
            "study": "demo",
            "wildcards": {"task": "a"},
            "inputs": by_folder(inputs or []),
            "outputs": [{"path": output, "temporary": False} for output in outputs],
            "packages": ["pyyaml"],
            "log": "log.txt",
            "commit": "c" * 40,
            "dirty": True,
            "configuration": None,
        }
    )


def start(
    folder: Path, *arguments: str, program: Path = SCRIPTS / PROGRAM
) -> subprocess.Popen[bytes]:
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, str(program), *arguments], cwd=folder, stdout=log, stderr=log
        )


def record_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.with_name(path.name + ENDING).read_text())
    return found


def test_a_program_that_ends_well(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data.txt").write_text("abc")
    before = datetime.now(UTC)
    settings = canonical_json({"b": {"seed": 3}, "random_seed": 4})
    process = start(
        tmp_path, "--configuration", settings, "--out", "made/out.json",
        "--record", job(tmp_path, ["made/out.json"], ["in"]),
    )  # fmt: skip
    assert process.wait() == 0, (tmp_path / "log.txt").read_text()
    after = datetime.now(UTC)
    assert json.loads((tmp_path / "made" / "out.json").read_text()) == json.loads(settings)

    record = record_of(tmp_path / "made" / "out.json")
    assert record["command"] == (
        f"python {SCRIPTS / PROGRAM} --configuration '{settings}' --out made/out.json"
    )
    assert record["parameters"] == {"configuration": json.loads(settings), "out": "made/out.json"}
    assert record["seeds"] == {"configuration.b.seed": 3, "configuration.random_seed": 4}
    folder, package = record["inputs"]
    line = f"data.txt {hashlib.sha256(b'abc').hexdigest()}"
    assert folder == {
        "path": "in",
        "bytes": 3,
        "sha256": hashlib.sha256(line.encode()).hexdigest(),
        "lineage": None,
    }
    assert package_of(package) == "pyyaml"
    (output,) = record["outputs"]
    assert output["path"] == "made/out.json"
    assert output["sha256"] == sha256_file(tmp_path / "made" / "out.json")
    assert output["bytes"] == (tmp_path / "made" / "out.json").stat().st_size
    assert record["log"]["sha256"] == sha256_file(tmp_path / "log.txt")
    assert record["code"] == {
        "digest": code_digest("write_config"),
        "modules": code_modules("write_config"),
    }
    assert (record["commit"], record["dirty"], record["exit"]) == ("c" * 40, True, 0)
    started, ended = (datetime.fromisoformat(record[name]) for name in ("started", "ended"))
    assert before <= started <= ended <= after
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["machine"]["host"] == os.uname().nodename
    assert record["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert 5e6 < record["peak_memory_bytes"] < 1e9
    assert record["slurm"] is None
    assert record["digest"] == self_digest(record)


def test_a_program_started_by_hand_leaves_none(tmp_path: Path) -> None:
    assert start(tmp_path, "--configuration", "{}", "--out", "out.json").wait() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "out.json"]


def test_the_scheduler_s_job_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURMD_NODENAME", "n3")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    record = job(tmp_path, ["out.json"])
    assert (
        start(tmp_path, "--configuration", "{}", "--out", "out.json", "--record", record).wait()
        == 0
    )
    text = (tmp_path / f"out.json{ENDING}").read_text()
    assert json.loads(text)["slurm"] == {"job": "17", "node": "n3"}
    assert "hf_secret" not in text


def test_one_record_in_each_folder_that_a_job_writes_to(tmp_path: Path) -> None:
    outputs = ["a/one.json", "a/two.json", "b/three.json"]
    for name in outputs[1:]:
        write_json(tmp_path / name, {})
    process = start(
        tmp_path, "--configuration", "{}", "--out", outputs[0], "--record", job(tmp_path, outputs)
    )
    assert process.wait() == 0
    records = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob(f"*{ENDING}"))
    assert records == [f"a/one.json{ENDING}", f"b/three.json{ENDING}"]
    assert record_of(tmp_path / outputs[0]) == record_of(tmp_path / outputs[2])
    for name in outputs:
        assert find_record(tmp_path / name) == record_of(tmp_path / outputs[0])
    assert find_record(tmp_path / "a" / "four.json") is None


def test_a_program_that_fails(tmp_path: Path) -> None:
    (tmp_path / "out.json").mkdir()  # nothing can be renamed to it
    (tmp_path / "out.json" / "full").touch()
    process = start(
        tmp_path, "--configuration", "{}", "--out", "out.json",
        "--record", job(tmp_path, ["out.json"]),
    )  # fmt: skip
    assert process.wait() == 1
    record = record_of(tmp_path / "out.json")
    assert record["exit"] == 1
    assert record["ended"] is not None
    assert "sha256" not in record["outputs"][0]


#: A program like those of the workflow that waits until a file is there.
WAITING = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(SCRIPTS)!r})
from layerscope.runtime.program import run

def main():
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    Path("out.json").write_text(sys.argv[1])

run(main)
"""


def waiting(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Started, and begun. Its code is taken to be a program of the workflow's."""
    program = folder / PROGRAM
    program.write_text(WAITING)
    process = start(folder, name, "--record", job(folder, ["out.json"]), program=program)
    deadline = time.monotonic() + 60
    while not (folder / "begun").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (folder / "begun").unlink()
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, None)])
def test_a_program_that_is_killed(number: signal.Signals, code: int | None, tmp_path: Path) -> None:
    process = waiting(tmp_path, "one")
    process.send_signal(number)
    process.wait()
    record = record_of(tmp_path / "out.json")
    assert record["exit"] == code
    assert (record["ended"] is None) == (code is None)
    assert record["digest"] == self_digest(record)


def test_the_later_of_two_processes_of_a_job_has_the_record(tmp_path: Path) -> None:
    """One on a node thought lost ends after the one that was started in its place."""
    first = waiting(tmp_path, "first")
    second = waiting(tmp_path, "second")
    first.terminate()
    assert first.wait() == 143
    assert record_of(tmp_path / "out.json")["exit"] is None
    (tmp_path / "go").touch()
    assert second.wait() == 0
    record = record_of(tmp_path / "out.json")
    assert record["exit"] == 0
    assert record["command"].endswith("second")


# --- records that are none -----------------------------------------------------------------------

KNOWN = "1" * 64


def _deep(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def made(file: str) -> dict[str, Any]:
    """A folder with a file, as an output."""
    facts = {"bytes": 1, "sha256": KNOWN, "modified_ns": 1}
    return {"path": "m", "temporary": False, **facts, "files": [{"path": file, **facts}]}


@pytest.mark.parametrize(
    "change", [{}, {"outputs": [made("..file")]}, {"commit": "c" * 40}, {"commit": "c" * 64}]
)
def test_a_whole_record_is_one(change: dict[str, Any], tmp_path: Path) -> None:
    record = whole_record() | change
    write_json(tmp_path / "a", record)
    assert load_record(tmp_path / "a") == record


@pytest.mark.parametrize("prefix", ["{tmp}/scratch/", "../", "..here/", "./x/../"])
def test_a_job_below_any_prefix_of_a_module_ends_its_record(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    output = prefix.format(tmp=tmp_path) + "results/s/a.txt"
    ran("table", [output])
    record = find_record(output)
    assert record is not None
    assert record["exit"] == 0


@pytest.mark.parametrize("place", ["/etc/passwd", "../passwd"])
def test_a_record_leads_no_reader_out_of_the_working_directory(place: str, tmp_path: Path) -> None:
    outputs = [{"path": path, "temporary": False} for path in ("results/s/a.txt", place)]
    path = tmp_path / "results" / "s" / f"a.txt{ENDING}"
    write_json(path, whole_record() | {"outputs": outputs})
    study = read_study(tmp_path, "s")
    assert (study.made, list(study.broken)) == ({}, [path])
    assert place in study.broken[path]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"outputs": "model"}, "outputs"),
        ({"outputs": []}, "outputs"),
        ({"outputs": [{"path": "model"}]}, "outputs.0.temporary"),
        ({"outputs": [{"path": "a/../model", "temporary": False}]}, "outputs.0.path"),
        ({"outputs": [made("../file")]}, "outputs.0.files.0"),
        ({"outputs": [made("/file")]}, "outputs.0.files.0"),
        ({"outputs": [{"path": "m", "temporary": False, "bytes": 1}]}, "outputs.0"),
        ({"outputs": 2 * [{"path": "m", "temporary": False}]}, "twice"),
        ({"inputs": [{"path": "a\0", "bytes": 1, "sha256": KNOWN, "lineage": None}]}, "inputs.0"),
        ({"inputs": [{"path": "a", "bytes": 1, "sha256": None, "lineage": None}]}, "inputs.0"),
        ({"started": "yesterday"}, "started"),
        ({"started": "2026-01-01T00:00:00"}, "started"),
        ({"exit": None}, "ended and exit"),
        ({"machine": None}, "where"),
        ({"machine": {"host": 1}}, "machine"),
        ({"commit": "--output=x"}, "commit"),
        ({"program": "../audit"}, "program"),
        ({"command": "python 'x"}, "command"),
        ({"versions": ["python"]}, "versions"),
        ({"parameters": {"a": _deep(300)}}, "parameters"),
        ({"parameters": {"a": float("nan")}}, "parameters.a"),
        ({"parameters": {"a": "\ud800"}}, "not JSON"),
    ],
)
def test_a_record_of_another_shape_is_none(
    change: dict[str, Any], named: str, tmp_path: Path
) -> None:
    path = tmp_path / f"model{ENDING}"
    path.write_text(json.dumps(whole_record() | change))
    with pytest.raises(UserError, match=r"^\S+: not a run record: ") as told:
        load_record(path)
    assert named in str(told.value)
    assert "\n" not in str(told.value)
    assert find_record(tmp_path / "model") is None


@pytest.mark.parametrize("text", [b"[]", b"7", b"", b"\xff", b"[" * 99999, b"9" * 5000])
def test_a_file_of_another_content_is_no_record(text: bytes, tmp_path: Path) -> None:
    (tmp_path / f"model{ENDING}").write_bytes(text)
    assert find_record(tmp_path / "model") is None


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """Who opens a FIFO waits for someone to write to it."""
    os.mkfifo(tmp_path / f"model{ENDING}")
    (tmp_path / "model").write_text("abc")
    assert find_record(tmp_path / "model") is None
    assert as_input(tmp_path / "model")["lineage"] is None
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UserError, match="fifo: a FIFO; allowed: a regular file"):
        describe(tmp_path)
    with pytest.raises(UserError, match="/dev/zero: a device"):
        as_input("/dev/zero")


def test_names_cannot_move_a_terminal_s_cursor() -> None:
    assert printable("a\x1b]0;x\x07\nb\u202e\udcff\x9bé") == (
        "a\\x1b]0;x\\x07\\nb\\u202e\\udcff\\x9bé"
    )


# --- command lines -------------------------------------------------------------------------------


def test_options_of_a_command_line() -> None:
    words = ["--kind", "nli", "--merge-tags", "--seed", "7", "--views", "a", "b", "c"]
    more = ["--settings", '{"rate": 0.1}', "--empty", "", "--name", "{odd", "--rate", "1e-3"]
    assert options_of([*words, *more]) == {
        "kind": "nli",
        "merge-tags": True,
        "seed": 7,
        "views": ["a", "b", "c"],
        "settings": {"rate": 0.1},
        "empty": "",
        "name": "{odd",
        "rate": "1e-3",
    }
    assert seeds_of({"seed": 1, "a": {"data_seed": 2, "seeds": "no"}, "seeded": 3}) == {
        "seed": 1,
        "a.data_seed": 2,
    }
    assert take_job(["x.py", "--record", '{"rule": "a"}', "--out", "b"]) == (
        ["x.py", "--out", "b"],
        {"rule": "a"},
    )
    assert take_job(["x.py", "--records", "b"]) == (["x.py", "--records", "b"], None)
