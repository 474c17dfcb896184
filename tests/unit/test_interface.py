"""What people use: a study in a notebook, and the command `layerscope`."""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from running import MINIATURE, ROOT, read_config

import layerscope
from layerscope.__main__ import COMMANDS, parser
from layerscope.config.load import validate
from layerscope.core.errors import UserError
from layerscope.interface import snakemake

SCRIPTS = ROOT / "workflow" / "scripts"


def study_of(folder: Path, tables: dict[str, Path], **changes: Any) -> Path:
    """A study's folder with these tables and the configuration of the miniature, changed."""
    results = folder / "results" / "s"
    (results / "tables").mkdir(parents=True)
    for name, path in tables.items():
        (results / "tables" / f"{name}.parquet").symlink_to(path)
    configuration = validate(read_config(MINIATURE) | {"study": "s"} | changes)
    (results / "config.json").write_text(configuration.model_dump_json())
    return results


@pytest.fixture
def results(tmp_path: Path, made_tables: dict[str, Path]) -> Path:
    there = {name: path for name, path in made_tables.items() if name not in ("heads", "probes")}
    return study_of(tmp_path, there, analyses={"heads": False})


# --- a study in a notebook -----------------------------------------------------------------------


@pytest.mark.slow
def test_a_study_s_tables_are_data_frames(results: Path, made_tables: dict[str, Path]) -> None:
    study = layerscope.open_study(results)
    assert (study.name, study.folder) == ("s", results)
    assert (study.tasks, study.models) == (["hpo-nli", "hpo-ner"], ["bert-tiny", "gpt-tiny"])
    assert study.variants == ["pretrained", "random-s0", "f50-s1", "f50-s2"]
    assert set(study.tables) == made_tables.keys() - {"heads", "probes"}
    assert study.configuration.models["gpt-tiny"].architecture == "decoder"
    scores = pd.read_parquet(made_tables["scores"])
    pd.testing.assert_frame_equal(study.table("scores"), scores)
    task = scores["task"].iloc[0]
    own = scores[scores["task"] == task].reset_index(drop=True)
    pd.testing.assert_frame_equal(study.table("scores", task=task), own)
    assert set(study.table("attention", measures=["jsd"])["measure"]) == {"jsd"}
    described = study.describe("training")
    assert list(described.index) == list(study.table("training").columns)
    assert described.loc["training_loss", "unit"] == "nats per label"
    assert described.loc["percent", ["range", "null"]].tolist() == ["1 to 100", ""]
    assert study.describe("heads").loc["jsd", "range"] == "0 to 1"  # made or not


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.table("score"), "no table 'score'; allowed: training, scores, confusion, "),
        (lambda s: s.describe("score"), "no table 'score'; allowed: training, "),
        (lambda s: s.table("heads"), "study s has no table 'heads': `analyses.heads` is off in "),
        (lambda s: s.table("probes"), "table 'probes' has not been made yet; run the study to"),
        (lambda s: s.table("scores", "x"), "scores.parquet: no task 'x'; allowed: "),
        (lambda s: s.table("pretraining", "x"), "'pretraining': no column 'task'; allowed: model"),
        (lambda s: s.table("scores", measures=["x"]), "'scores': no column 'measure'; allowed: "),
        (lambda s: layerscope.open_study(s.folder / "tables"), "inside a study's folder; allowed"),
        (lambda s: layerscope.open_study(s.folder.parent), "not a study, since it has no config."),
        (lambda s: layerscope.open_study(s.folder.with_name("q")), "q: no such folder; allowed: "),
    ],
)
def test_what_there_is_not_is_said_in_a_line(call: Any, message: str, results: Path) -> None:
    with pytest.raises(UserError) as caught:
        call(layerscope.open_study(results))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_why_a_table_is_not_there(tmp_path: Path) -> None:
    one = {"bert-tiny": read_config(MINIATURE)["models"]["bert-tiny"]}
    off = {"attention": None, "interventions": None, "models": one}
    study = layerscope.open_study(study_of(tmp_path, {}, **off))
    reasons = {
        "attention": "`attention` is null",
        "interventions": "`interventions` is null",
        "cross_model_similarity": "or there is only one model",
        "reproduction": "`references` names no published values",
    }
    for name, reason in reasons.items():
        with pytest.raises(UserError, match=reason):
            study.table(name)


def test_importing_the_package_imports_no_library() -> None:
    program = "import layerscope, sys; print({'pandas', 'pyarrow', 'pydantic', 'torch'} & "
    program += "set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SCRIPTS)},
    )
    assert ran.stdout.strip() == "set()"


# --- the command ---------------------------------------------------------------------------------


def call(*words: object) -> None:
    arguments = parser().parse_args(list(map(str, words)))
    arguments.carry_out(arguments)


def test_every_option_of_every_command_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    (commands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert list(commands.choices) == list(COMMANDS)
    for name, command in commands.choices.items():
        assert all(action.help for action in command._actions), name
        with pytest.raises(SystemExit):
            call(name, "--help")
        assert COMMANDS[name][0].partition("\n")[0] in capsys.readouterr().out


def test_it_runs_without_installation(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "layerscope", "open", "results/none"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(SCRIPTS)},
    )
    assert ran.returncode == 1
    assert ran.stderr == (
        "error: results/none: no such folder; allowed: the folder of a study "
        f"(none is in {tmp_path}/results)\n"
    )


@pytest.mark.slow
def test_open_names_pages_and_opens_the_report(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: not opened.append(url))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    (results / "explorer.html").touch()
    call("open", results)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "report:   no report.html: `snakemake report` makes it",
        f"explorer: {results}/explorer.html",
        "summary:  no summary.md: `analyses.summary` is off, or the study is not finished",
        "tables:   no tables/README.md: the study is not finished",
    ]
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    call("open", results)
    (results / "report.html").touch()
    call("open", results)
    assert opened == [f"file://{results}/{name}.html" for name in ("explorer", "report")]
    assert capsys.readouterr().out.endswith(f"opened    {results}/report.html\n")


def test_explain_and_estimate_ask_snakemake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command[3:])
        return subprocess.CompletedProcess(command, len(asked) - 1, stderr="what is wrong\n")

    monkeypatch.setattr(snakemake.subprocess, "run", run)
    study = tmp_path / "my.yaml"
    study.touch()
    with pytest.raises(SystemExit) as ended:
        call("explain", "--configfile", study)
    assert ended.value.code == 0
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit) as ended:
        call("estimate", "--profile", "profiles/local")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "what is wrong\n"
    assert [command[:3] for command in asked] == [
        [target, "--snakefile", str(ROOT / "Snakefile")] for target in ("explain", "estimate")
    ]
    assert asked[0][3:5] == ["--cores", "1"]
    assert asked[0][-2:] == ["--configfile", str(study)]
    assert asked[1][3:5] == ["--profile", "profiles/local"]
    with pytest.raises(UserError, match=r"none.yaml: no such file; allowed: "):
        call("explain", "--configfile", "none.yaml")


def test_pack_says_what_is_not_finished(results: Path) -> None:
    with pytest.raises(UserError, match="no run record; allowed: a study that was run to its end"):
        call("pack", results)
    (results / "config.json").write_text(json.dumps({"study": "s"}))
    with pytest.raises(UserError, match="tasks"):
        call("pack", results)
    assert not (results / "pack.zip").exists()


def events(file: Path) -> list[tuple[int, str, float]]:
    """Step, name and value of the scalars in an event file: length, its CRC, event, its CRC."""
    event = pytest.importorskip("tensorboardX.proto.event_pb2").Event
    content, at, found = file.read_bytes(), 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        one = event.FromString(content[at + 12 : at + 12 + length])
        found += [(one.step, each.tag, each.simple_value) for each in one.summary.value]
        at += 12 + length + 4
    return found


def test_losses_are_event_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboardX")
    results = study_of(tmp_path, {})
    out = results.parent / "curves"
    with pytest.raises(UserError, match="no training has ended"):
        call("track", results, "--out", out)
    log = [
        {"step": 10, "loss": 0.5, "learning_rate": 0.25},
        {"step": 20, "loss": 0.25, "learning_rate": 0.125},
    ]
    history = {"log": log, "validation_loss": 0.75, "steps": 25}
    tuned = results / "finetuned" / "t" / "m" / "f10-s1"
    tuned.mkdir(parents=True)
    (tuned / "history.json").write_text(json.dumps(history))
    (results / "pretrained").mkdir()
    (results / "pretrained" / "m.json").write_text('{"evaluations": [{"step": 0, "loss": 8.0}]}')
    call("track", results, "--out", out)
    assert "2 trainings" in capsys.readouterr().out
    found = {str(file.parent.relative_to(out)): events(file) for file in out.rglob("events.out.*")}
    assert found == {
        "finetuned/t/m/f10-s1": [
            *((10, "loss", 0.5), (10, "learning_rate", 0.25)),
            *((20, "loss", 0.25), (20, "learning_rate", 0.125)),
            (25, "validation_loss", 0.75),
        ],
        "pretrained/m": [(0, "heldout_loss", 8.0)],
    }
    with pytest.raises(UserError, match="is there already"):
        call("track", results, "--out", out)
