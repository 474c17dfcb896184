"""A large study: how long the commands of its jobs are, and that it can be measured."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import ROOT, Config, count, environment, plan, write_config

BENCHMARK = ROOT / "benchmarks" / "dag.py"
#: Bytes of one argument on Linux (MAX_ARG_STRLEN). A job's command is one, to the shell.
LIMIT = 131_072
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large_study() -> Callable[..., Config]:
    """A study of so many models, tasks and seeds."""
    study: Callable[..., Config] = runpy.run_path(str(BENCHMARK))["large_study"]
    return study


@pytest.mark.parametrize(
    "size",
    [
        {"models": 8, "tasks": 2, "seeds": 3},
        {"models": 1, "tasks": 1, "seeds": 25},  # 100 fine-tuned variants of a model
    ],
)
def test_commands_stay_far_below_the_limit_of_the_system(
    size: dict[str, int], large_study: Callable[..., Config], tmp_path: Path
) -> None:
    everything = plan(ROOT, tmp_path, write_config(tmp_path / "study.yaml", large_study(**size)))
    tuned = 4 * size["seeds"]
    assert count(everything)["finetune"] == size["models"] * size["tasks"] * tuned
    longest = max(everything, key=lambda job: len(job.command.encode()))
    assert len(longest.command.encode()) < LIMIT / 4, longest


def test_a_study_can_be_measured(tmp_path: Path) -> None:
    """The smallest one: planned, run with programs that do nothing, and then done."""
    out = tmp_path / "dag.json"
    size = ("--models", "1", "--tasks", "1", "--seeds", "1", "--cores", "2")
    result = subprocess.run(
        [sys.executable, str(BENCHMARK), *size, "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment(),
    )
    assert result.returncode == 0, result.stderr
    measured: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))["seeds"]["1"]
    assert measured["plan"]["jobs"] == measured["run"]["2"]["jobs"] > 30
    assert measured["again"]["jobs"] == 0
    assert measured["run"]["2"]["seconds"] > 0
    assert measured["run"]["2"]["peak_mb"] > 50
