"""All jobs of a study and which of them would run, from a dry run of Snakemake in this process.

Only the reasons are text; they name files, and say whether a job runs merely because another does.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from layerscope.core.errors import UserError
from layerscope.resources.submissions import Submission

#: Snakemake's words for a job that runs because one before it does.
FOLLOWS = "Input files updated by another job"
_UPDATED = re.compile(r"Updated input files: (.*?)(?:; (?=[A-Z])|$)")


@dataclass(frozen=True)
class Planned:
    """A job of the study, and why it would run in Snakemake's words."""

    rule: str
    wildcards: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    command: str
    reason: str  # empty if it would not run

    @property
    def updated(self) -> list[str]:
        """Inputs that are newer than the outputs, and not known to have the same content."""
        found = _UPDATED.search(self.reason)
        return found[1].split(", ") if found and found[1] else []


class _Reasons(logging.Handler):
    """Why each job runs, as Snakemake says when it would start it; afterwards it says less."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[int, str] = {}  # by number of the job

    def emit(self, record: logging.LogRecord) -> None:
        from snakemake_interface_logger_plugins.common import LogEvent

        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            self.of[record.__dict__["jobid"]] = record.__dict__["reason"]


def planned(call: Mapping[str, Any]) -> list[Planned]:
    """All jobs of a study, in the order of the rules in the workflow. Nothing is run or written.

    Args:
        call: how Snakemake was called: `snakefile`, `configfiles`, `config` and
            `replace_workflow_config` (of `--config`), and what it compares: `rerun_triggers`,
            `max_checksum_file_size`, `deployment_method`; `targets`, if not the default one.

    Raises:
        UserError: Snakemake refuses to plan.
    """
    return _planned(call, {}, {})[0]


def planned_and_submitted(call: Mapping[str, Any]) -> tuple[list[Planned], list[Submission]]:
    """The same without reasons, and what a scheduler would be sent of those that would run.

    Args:
        call: also has what was said of resources: `resources`, `resource_scopes`,
            `default_resources`, `set_resources`, `group_components` and `retries`.

    Raises:
        UserError: Snakemake refuses to plan.
    """
    from snakemake.cli import parse_set_resources
    from snakemake.resources import Resources

    defaults = call["default_resources"]
    resources = {
        "resources": Resources.parse(call["resources"], allow_expressions=False),
        "overwrite_resource_scopes": call["resource_scopes"],
        "overwrite_resources": parse_set_resources(call["set_resources"]),
        "default_resources": Resources.parse(defaults, allow_expressions=True, defaults="bare"),
    }
    found, dag, order = _planned(call, resources, call["group_components"])
    return found, list(_submissions(dag, order, 1 + call["retries"]))


def _planned(
    call: Mapping[str, Any], resources: Mapping[str, Any], components: Mapping[str, int]
) -> tuple[list[Planned], Any, dict[str, int]]:
    """All jobs, Snakemake's own DAG, and the rules' places in the workflow."""
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.logging import logger
    from snakemake.settings.types import GroupSettings, OutputSettings

    reasons = _Reasons()
    with SnakemakeApi(OutputSettings(dryrun=True)) as api:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)  # those that print
        logger.addHandler(reasons)
        logger.propagate = False
        try:
            workflow, plan = study_dag(api, call, resources=resources)
            plan.execute_workflow(
                executor="dryrun", group_settings=GroupSettings(group_components=components)
            )
        except WorkflowError as error:
            raise UserError(" ".join(str(error).split())) from None
        dag = workflow.dag
        order = {rule.name: number for number, rule in enumerate(workflow.rules)}
        jobs = sorted(dag.jobs, key=lambda job: order[job.rule.name])
        return [as_planned(job, reasons.of.get(dag.jobid(job), "")) for job in jobs], dag, order


def _submissions(dag: Any, order: Mapping[str, int], attempts: int) -> Iterator[Submission]:
    """Jobs that run where Snakemake runs are left out, and targets."""
    from snakemake.resources import GroupResources

    here = dag.workflow._localrules
    sent: dict[Any, None] = {}  # in the order of the rules
    wanted = dag.needrun_jobs(exclude_finished=False)
    for job in sorted(wanted, key=lambda job: order[job.rule.name]):
        if not (job.rule.name in here or job.is_norun):
            sent[dag.get_job_group(job) or job] = None
    for each in sent:
        asked = []
        for attempt in range(1, attempts + 1):
            each.attempt = attempt
            resources = (
                GroupResources.basic_layered(each.toposorted, each.global_resources, False)
                if each.is_group()
                else each.resources
            )
            asked.append(dict(resources.items()))
        jobs = list(each.jobs) if each.is_group() else [each]
        name = jobs[0].rule.group if each.is_group() else each.rule.name
        yield Submission(name, len(jobs), max(job.threads for job in jobs), tuple(asked))


def left_alone(workflow: Any) -> list[Planned]:
    """Jobs that a run of Snakemake left as they were; none unless it planned and all else is done.

    Args:
        workflow: Snakemake's own, at the end of its process. After a failed or interrupted run
            jobs that it was to run are left, and before it has planned it knows of no such job.
    """
    if workflow.scheduler is None or workflow.dryrun or list(workflow.dag.needrun_jobs()):
        return []
    return [as_planned(job) for job in workflow.dag.jobs if not workflow.dag.needrun(job)]


def as_planned(job: Any, reason: str = "") -> Planned:
    """A job of Snakemake's."""
    return Planned(
        rule=job.rule.name,
        wildcards=dict(job.wildcards_dict),
        inputs=tuple(map(str, job.input)),
        outputs=tuple(map(str, job.output)),
        command=job.shellcmd or "",
        reason=reason,
    )


def study_dag(
    api: Any, call: Mapping[str, Any], resources: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Any, Any]:
    """A study with the settings of a call: Snakemake's own workflow, and what its API does with it.

    Args:
        api: Snakemake's.
        call: as for `planned`.
        resources: further settings of resources.
    """
    from snakemake.settings.enums import RerunTrigger
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        DeploymentMethod,
        DeploymentSettings,
        ResourceSettings,
    )

    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=1, **resources),
        config_settings=ConfigSettings(
            config=call["config"],
            configfiles=[Path(path) for path in call["configfiles"]],
            replace_workflow_config=call["replace_workflow_config"],
        ),
        deployment_settings=DeploymentSettings(
            deployment_method=DeploymentMethod.parse_choices_set(call["deployment_method"])
        ),
        snakefile=Path(call["snakefile"]),
        workdir=Path.cwd(),
    )
    dag = workflow.dag(
        DAGSettings(
            targets=set(call.get("targets", ())),
            force_incomplete=True,  # what a killed run left is made again
            rerun_triggers=RerunTrigger.parse_choices_set(call["rerun_triggers"]),
            max_checksum_file_size=call["max_checksum_file_size"],
        )
    )
    return workflow._workflow, dag
