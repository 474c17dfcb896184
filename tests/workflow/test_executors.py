"""The same jobs on any engine: the profile for SLURM, another cluster's commands, this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import MINIATURE, ROOT, snakemake

from layerscope import catalogue
from layerscope.resources.computing import LEAST_MINUTES

pytestmark = pytest.mark.xdist_group("executors")  # they share a plan

PROFILE = ROOT / "profiles" / "slurm"
SAMPLE = "results/miniature/samples/hpo-ner/f50-s1.parquet"
#: As on another cluster: a command that sends a script to be run and prints the job's name.
SUBMIT = """#!/usr/bin/env bash
bash "$1" > "$1.out" 2>&1 &
echo "$!"
"""


def _commands(folder: Path, *options: str | Path) -> list[str]:
    """Commands that would run, whatever else an engine says of its jobs."""
    result = snakemake(ROOT, folder, "-n", "-p", "--configfile", MINIATURE, *options, "--nocolor")
    assert result.returncode == 0, result.stdout
    return sorted(re.findall("^ *Shell command: (python .*)", result.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    commands = _commands(tmp_path_factory.mktemp("local") / "run")
    assert len(commands) > 100  # all of the miniature
    return commands


@pytest.fixture
def other_engine(tmp_path: Path) -> list[str]:
    submit = tmp_path / "submit.sh"
    submit.write_text(SUBMIT)
    submit.chmod(0o755)
    engine = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", str(submit)]
    return [*engine, "--jobs", "2", "--latency-wait", "5"]


@pytest.fixture(scope="module")
def profile() -> dict[str, Any]:
    keys: dict[str, Any] = yaml.safe_load((PROFILE / "config.yaml").read_text(encoding="utf-8"))
    return keys


def test_nothing_in_the_rules_is_an_engine_s_own() -> None:
    for path in [
        ROOT / "Snakefile",
        ROOT / "workflow" / "Snakefile",
        *ROOT.glob("workflow/rules/*.smk"),
    ]:
        text = path.read_text(encoding="utf-8").lower()
        # --gpus is an option of our programs too.
        own = r"slurm|sbatch|qsub|gres|partition|(?<!\{params\.program:q\} )--gpus"
        assert re.findall(own, text) == [], path


@pytest.mark.slow
def test_another_engine_plans_the_same_jobs(
    local: list[str], other_engine: list[str], tmp_path: Path
) -> None:
    assert _commands(tmp_path / "run", *other_engine) == local


@pytest.mark.slow
def test_another_engine_runs_jobs(other_engine: list[str], tmp_path: Path) -> None:
    result = snakemake(
        ROOT, tmp_path / "run", *other_engine, "--configfile", MINIATURE, "--", SAMPLE
    )
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("Submitted job") == 2  # the task's data come first
    assert (tmp_path / "run" / SAMPLE).is_file()


@pytest.mark.slow
def test_the_profile_for_slurm_by_its_path(local: list[str], tmp_path: Path) -> None:
    """A dry run needs no SLURM."""
    assert _commands(tmp_path / "run", "--profile", PROFILE) == local


@pytest.mark.slow
def test_the_profile_for_slurm_by_its_name(
    local: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "snakemake").mkdir()
    (tmp_path / "snakemake" / "slurm").symlink_to(PROFILE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert _commands(tmp_path / "run", "--profile", "slurm") == local


def test_small_rules_go_together_under_the_profile(profile: dict[str, Any], tmp_path: Path) -> None:
    run = [ROOT, tmp_path, "-n", "--configfile", MINIATURE, "--nocolor"]
    assert "Group job" not in snakemake(*run).stdout
    found: dict[str, set[str]] = {}
    for text in re.split(r"\n\[.*\] ", snakemake(*run, "--profile", PROFILE).stdout):
        head = re.match(r"Group job (\S+)", text)
        if head is None:
            continue
        (kind,) = [name for name in profile["group-components"] if _is_of(head[1], name)]
        rules = re.findall(r"^    (?:local)?rule (\w+):", text, re.MULTILINE)
        found.setdefault(kind, set()).update(rules)
        asked = re.findall(r"^ {8}resources: .*runtime=(\d+)", text, re.MULTILINE)
        times = [int(minutes) for minutes in asked]
        assert len(times) == len(rules)
        assert len([minutes for minutes in times if minutes >= LEAST_MINUTES]) == 1, text
    lacks = {
        *("references", "adapter-pairs", "training-repeats"),
        *("representation_quality", "usable_information"),
    }
    entries = [each for each in catalogue.TABLES if lacks.isdisjoint(each.needs)]
    tables = {table.rule for table in entries}
    parts = {f"part_{table.name}" for table in entries if table.part}
    figures = {each.rule for each in catalogue.FIGURES if lacks.isdisjoint(each.needs)}
    assert found == {
        "data_{task}": {"prepare_task", "subsample", "sample_for_probes"},
        "baseline_{task}": {"baseline"},
        "probe_{task}_{model}_{variant}": {"probe", "similarity"},
        "scores_{task}": {"score", "part_significance"},
        "parts_{task}_{model}": parts - {"part_significance"},
        "tables": tables,
        "figures": {"summary", "explorer", "describe_task", *figures},
    }


def _is_of(group: str, pattern: str) -> bool:
    return bool(re.fullmatch(re.sub(r"{\w+}", r"[\\w-]+", pattern), group))


def test_every_line_of_the_profile_is_explained() -> None:
    """By a comment in it, or above it."""
    for name in ("config.yaml", "partitions.yaml"):
        text = (PROFILE / name).read_text(encoding="utf-8")
        for block in re.split(r"\n\n+", text):
            assert "#" in block, block
