"""How far each stage of a study is, for `snakemake --logger stages`: a line each, with a bar.

Snakemake finds it when `workflow/plugins` is in PYTHONPATH. Warnings and errors are shown as
Snakemake shows them; everything else is in Snakemake's own log file. Unless the output is a
terminal, there is a line at the end of each stage, and one for each tenth of all jobs.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from logging import WARNING, LogRecord
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

#: Stages in the order in which they end, with what the names of their rules begin with.
STAGES: Mapping[str, tuple[str, ...]] = {
    "data": ("fetch_", "prepare_", "subsample", "sample_for_probes", "configuration"),
    "pre-training": ("pretrain",),
    "fine-tuning": ("finetune",),
    "extraction": ("extract_",),
    "probes": ("probe",),
    "similarity": ("similarity", "compare_models"),
    "interventions": ("intervene", "patch"),
    "head lens": ("head_lens",),
    "head importance": ("head_importance",),
    "representation quality": ("representation_quality",),
    "usable information": ("usable_information",),
    "scores": ("baseline", "score"),
    "tables": ("part_", "table_"),
    "figures": ("figure_",),
    "pages": ("summary", "explorer", "describe_task", "audit", "report"),
}


def stage_of(rule: str) -> str | None:
    """The stage of a rule by its name; None of one that is in no stage."""
    found = (stage for stage, begins in STAGES.items() if rule.startswith(begins))
    return next(found, None)


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


class Running(NamedTuple):
    """A job that has started."""

    stage: str
    since: float  # seconds of a clock


class Stages:
    """Counts of jobs by stage, from the records that Snakemake logs."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.running: dict[int, Running] = {}
        self._began: dict[str, float] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)  # of the jobs that are done
        self._cores = 1

    def plan(self, jobs: Mapping[str, int]) -> None:
        """Take how many jobs of each rule will run."""
        self.total, self.done = Counter(), Counter()
        for rule, count in jobs.items():
            stage = stage_of(rule)
            if stage is not None:
                self.total[stage] += count

    def start(self, job: int, rule: str, now: float) -> None:
        """A job has started."""
        stage = stage_of(rule)
        if stage is not None:
            self.running[job] = Running(stage, now)
            self._began.setdefault(stage, now)
            self._cores = max(self._cores, len(self.running))

    def finish(self, job: int, now: float) -> str | None:
        """A job has succeeded; its stage, if that was the last job of it."""
        if job not in self.running:
            return None
        stage, since = self.running.pop(job)
        self.done[stage] += 1
        self._seconds[stage] += now - since
        return stage if self.done[stage] == self.total[stage] else None

    def elapsed(self, stage: str, now: float) -> float:
        """Seconds since the first job of a stage started."""
        return now - self._began[stage]

    def left(self, stage: str) -> float | None:
        """Seconds that the rest of a stage takes on all cores; None before a first job is done."""
        if not self.done[stage]:
            return None
        rest = self.total[stage] - self.done[stage]
        return rest * self._seconds[stage] / self.done[stage] / self._cores


class LogHandler(LogHandlerBase):
    """Shows `Stages` as bars."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Make bars that are not shown yet."""
        self.stages = Stages()
        self.console = Console(stderr=not self.common_settings.stdout, highlight=False)
        self.errors = DefaultFormatter(
            self.common_settings.quiet, self.common_settings.show_failed_logs
        )
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.words: dict[str, str] = {}  # behind the bar of a stage
        self.tenths = 0  # of all jobs that were said to be done

    def emit(self, record: LogRecord) -> None:
        """Take a record of Snakemake's."""
        event, now = getattr(record, "event", None), time.monotonic()
        if event == LogEvent.RUN_INFO:
            self._begin({rule: n for rule, n in record.stats.items() if rule != "total"})  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_INFO:
            self.stages.start(record.jobid, record.rule_name, now)  # type: ignore[attr-defined]
            self._show()
        elif event == LogEvent.JOB_FINISHED:
            ended = self.stages.finish(record.job_id, now)  # type: ignore[attr-defined]
            self._show(f"in {duration(self.stages.elapsed(ended, now))}" if ended else "", ended)
        elif record.levelno >= WARNING or event in (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR):
            self.console.print(self.errors.format(record), markup=False, soft_wrap=True)

    def _begin(self, jobs: Mapping[str, int]) -> None:
        self.stages.plan(jobs)
        for stage in STAGES:
            if self.stages.total[stage] and stage not in self.tasks:
                self.tasks[stage] = self.bars.add_task(stage, total=0, left="")
        self._show()
        self.bars.start()

    def _show(self, took: str = "", ended: str | None = None) -> None:
        for stage, task in self.tasks.items():
            total, done = self.stages.total[stage], self.stages.done[stage]
            seconds = self.stages.left(stage) if done < total else None
            if stage == ended:
                self.words[stage] = took
            elif seconds is not None:
                self.words[stage] = f"{duration(seconds)} left"
            self.bars.update(task, total=total, completed=done, left=self.words.get(stage, ""))
        if not self.console.is_terminal:
            self._say(took, ended)

    def _say(self, took: str, ended: str | None) -> None:
        if ended:
            count = self.stages.done[ended]
            self.console.print(f"{ended}: {count} job{'s' * (count != 1)} {took}")
        total = self.stages.total.total()
        tenths = 10 * self.stages.done.total() // max(total, 1)
        if self.tenths < tenths < 10:
            self.console.print(f"{10 * tenths} % of {total} jobs are done")
            self.tenths = tenths

    def close(self) -> None:
        """Leave the bars as they are."""
        self.bars.stop()
        super().close()
