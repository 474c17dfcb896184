"""The bars of `snakemake --logger stages`, from records such as Snakemake logs."""

from __future__ import annotations

import io
from logging import ERROR, INFO, makeLogRecord
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_stages import LogHandler, Stages, duration


@pytest.fixture
def handler() -> LogHandler:
    """Whose output is a text that is no terminal."""
    made = LogHandler(SimpleNamespace(quiet=set(), show_failed_logs=True, stdout=False), None)
    made.console = Console(file=io.StringIO(), highlight=False)
    return made


def log(handler: LogHandler, level: int = INFO, **record: Any) -> None:
    handler.emit(makeLogRecord({"levelno": level, "msg": "a message"} | record))


def shown(handler: LogHandler) -> list[str]:
    file = handler.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


def test_a_stage_is_one_line_when_its_last_job_is_done(handler: LogHandler) -> None:
    log(handler, event=LogEvent.RUN_INFO, stats={"probe": 2, "pretrain": 1, "all": 1, "total": 4})
    for job, rule in enumerate(("probe", "pretrain", "probe", "all")):
        log(handler, event=LogEvent.JOB_INFO, jobid=job, rule_name=rule)
    log(handler, event=LogEvent.JOB_FINISHED, job_id=0)
    log(handler, event=LogEvent.JOB_FINISHED, job_id=1)
    assert shown(handler)[-2:] == ["pre-training: 1 job in 0 s", "60 % of 3 jobs are done"]
    log(handler, event=LogEvent.JOB_FINISHED, job_id=2)
    log(handler, event=LogEvent.JOB_FINISHED, job_id=3)
    assert shown(handler)[2:] == ["60 % of 3 jobs are done", "probes: 2 jobs in 0 s"]
    handler.close()


def test_without_a_terminal_each_tenth_of_all_jobs_is_a_line(handler: LogHandler) -> None:
    log(handler, event=LogEvent.RUN_INFO, stats={"probe": 25, "total": 25})
    for job in range(24):
        log(handler, event=LogEvent.JOB_INFO, jobid=job, rule_name="probe")
        log(handler, event=LogEvent.JOB_FINISHED, job_id=job)
    assert shown(handler) == [f"{n} % of 25 jobs are done" for n in range(10, 100, 10)]
    handler.close()


def test_errors_are_shown_and_other_messages_are_not(handler: LogHandler) -> None:
    log(handler)
    log(handler, ERROR)
    assert shown(handler) == ["a message"]


def test_time_left_is_that_of_the_jobs_done_over_the_cores_in_use() -> None:
    stages = Stages()
    stages.plan({"probe": 5})
    stages.start(0, "probe", 0.0)
    stages.start(1, "probe", 0.0)
    assert stages.left("probes") is None
    assert stages.finish(0, 10.0) is None
    stages.finish(1, 30.0)
    assert stages.left("probes") == 3 * 20 / 2  # three are left of 20 s each, on two cores


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.4, "59 s"), (60, "1 min 0 s"), (3725, "1 h 2 min")]
)
def test_durations_are_in_the_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
