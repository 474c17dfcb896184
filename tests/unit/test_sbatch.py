"""SLURM is asked with the options that a job would be sent with, and what it says is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_submissions import PARTITIONS

from layerscope.core.errors import UserError
from layerscope.resources.sbatch import ask, command, in_words
from layerscope.resources.submissions import Submission, partitions_of

#: Accepts up to an hour, as a site with such a limit does.
SBATCH = """#!/bin/sh
for word; do
    if [ "$last" = -t ] && [ "$word" -gt 60 ]; then
        echo "sbatch: error: Requested time limit is invalid" >&2
        exit 1
    fi
    last=$word
done
echo "sbatch: Job 5 to start at 2026-11-29T10:00:00 using 1 processors" >&2
"""


def submission(name: str, *minutes: int) -> Submission:
    return Submission(name, 1, 1, tuple({"runtime": each, "mem_mb": 500} for each in minutes))


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "sbatch"
    program.write_text(SBATCH, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_the_longest_of_each_kind_is_asked_for(sbatch: None) -> None:
    sent = [submission("probe", 10, 30), submission("probe", 25, 75), submission("tables", 9, 18)]
    answers = ask(sent, partitions_of(PARTITIONS), {})
    assert [(each.name, each.attempt, each.minutes) for each in answers] == [
        ("probe", 1, 25), ("probe", 2, 75), ("tables", 1, 9), ("tables", 2, 18),
    ]  # fmt: skip
    with pytest.raises(UserError) as caught:
        in_words(answers)
    assert str(caught.value).splitlines() == [
        "SLURM rejects jobs of this study.",
        "probe       75 min in cpu: rejected at attempt 2: error: Requested time limit is invalid",
        "tables       9 min in cpu: accepted",
    ]
    assert in_words(answers[2:]) == "tables       9 min in cpu: accepted"


def test_options_are_those_of_the_job() -> None:
    asked = {"runtime": 30, "mem_mb": 500, "gpu": 2, "gpu_model": "a100", "slurm_account": "lab 1"}
    words = command(2, asked, "gpu", {"qos": "long", "requeue": True})
    assert words[:2] == ["sbatch", "--test-only"]
    for options in (["-A", "lab 1"], ["-p", "gpu"], ["-t", "30"], ["--mem", "500"]):
        assert words[words.index(options[0]) + 1] == options[1]
    assert {"--gpus=a100:2", "--qos=long", "--requeue", "--cpus-per-task=2"} < set(words)


def test_what_slurm_says_of_every_job_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sbatch: None
) -> None:
    sent = [submission(name, 75, 150) for name in ("probe", "tables", "figures")]
    with pytest.raises(UserError) as caught:
        in_words(ask(sent, None, {}))
    said = "error: Requested time limit is invalid"
    assert str(caught.value) == f"SLURM rejects every job of this study: {said}"
    silent = "sbatch: error: Unable to contact slurm controller (connect failure)"
    (tmp_path / "sbatch").write_text(f"#!/bin/sh\necho x >> asked\necho '{silent}' >&2; exit 1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^SLURM does not answer: error: Unable to contact"):
        ask(sent, None, {})
    assert Path("asked").read_text() == "x\n"


def test_without_slurm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch: no such program; allowed: a login node"):
        ask([submission("probe", 10)], None, {})
