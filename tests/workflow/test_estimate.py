"""`snakemake estimate`, and what jobs ask of a scheduler, against the real DAG."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path

import pytest
from running import (
    DEMO,
    MINIATURE,
    ROOT,
    Config,
    plan,
    read_config,
    snakemake,
    write_config,
)

from layerscope.config.load import validate
from layerscope.resources.estimate import planned_jobs

PAPER = ROOT / "config" / "paper.yaml"


def _demo(config: Config) -> Config:
    return config | read_config(DEMO)


def _miniature(config: Config) -> Config:
    return config


def _temp(config: Config) -> Config:
    return config | {"activations": {"keep": "none"}}


def _before_and_after(config: Config) -> Config:
    config["variants"] = {"percentages": [0, 10, 50], "seeds": [1, 2]}
    return config | {"activations": {"keep": "before-and-after"}}


def _paper(_: Config) -> Config:
    return read_config(PAPER) | {"references": "references.csv"}


@pytest.mark.parametrize("study", [_demo, _miniature, _temp, _before_and_after, _paper])
def test_the_jobs_that_are_estimated_are_those_of_the_dag(
    study: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every one, by rule and wildcards; rules for temporary activations are the same work."""
    assert callable(study)
    config = study(copy.deepcopy(read_config(MINIATURE)))
    run = tmp_path / "run"
    run.mkdir()
    shutil.copyfile(ROOT / "config" / "references.csv", run / "references.csv")
    found = {
        (job.rule.removesuffix("_temp"), job.wildcards)
        for job in plan(ROOT, run, write_config(tmp_path / "study.yaml", config))
        if job.rule != "all"
    }
    monkeypatch.chdir(run)
    planned = [
        (rule, frozenset(wildcards.items())) for rule, wildcards in planned_jobs(validate(config))
    ]
    assert len(planned) == len(set(planned))
    assert set(planned) == {(rule, frozenset(wildcards)) for rule, wildcards in found}


def _resources(text: str, rule: str) -> list[dict[str, str]]:
    """Resources of each job of a rule in a dry run."""
    return [
        dict(part.split("=", 1) for part in entry.split(", "))
        for entry in re.findall(
            rf"^(?:local)?rule {rule}:\n(?:    .*\n)*?    resources: (.*)$", text, re.MULTILINE
        )
    ]


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dry run of the published study."""
    run = tmp_path_factory.mktemp("paper")
    (run / "config").mkdir()
    shutil.copyfile(ROOT / "config" / "references.csv", run / "config" / "references.csv")
    result = snakemake(ROOT, run, "--dry-run", "--nocolor", "--configfile", PAPER)
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_jobs_of_large_models_ask_for_a_gpu_and_others_do_not(paper: str) -> None:
    large = [r for r in _resources(paper, "finetune") if r["gpu"] == "1"]
    assert len(large) == 160
    for rule in ("probe", "score", "baseline", "table_scores", "figure_scores"):
        found = _resources(paper, rule)
        assert found, rule
        assert all("gpu" not in resources for resources in found), rule


def test_larger_models_ask_for_more_memory_and_time(paper: str) -> None:
    asked = {int(resources["mem_mb"]) for resources in _resources(paper, "finetune")}
    assert max(asked) > 1.5 * min(asked)
    times = {int(resources["runtime"]) for resources in _resources(paper, "finetune")}
    assert max(times) > min(times)


def test_the_table_is_printed_and_kept_and_nothing_else_happens(tmp_path: Path) -> None:
    profile = ROOT / "profiles" / "local"
    result = snakemake(ROOT, tmp_path, "estimate", "--profile", profile, "--configfile", MINIATURE)
    assert result.returncode == 0, result.stdout
    (log,) = tmp_path.glob("logs/miniature/estimate.log")
    kept = log.read_text(encoding="utf-8")
    assert kept in result.stdout
    (line,) = (line for line in kept.splitlines() if line.startswith("finetune"))
    assert line.split()[1] == "8"
    assert "Activations that stay, by activations.keep: all " in kept
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "resources").exists()
