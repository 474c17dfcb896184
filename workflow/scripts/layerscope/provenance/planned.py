"""All jobs of a study and which of them would run, from a dry run of Snakemake in this process.

Only the reasons are text; they name files, and say whether a job runs merely because another does.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.core.errors import UserError

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
            `max_checksum_file_size`, `deployment_method`.

    Raises:
        UserError: Snakemake refuses to plan.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.logging import logger
    from snakemake.settings.types import OutputSettings

    reasons = _Reasons()
    with SnakemakeApi(OutputSettings(dryrun=True)) as api:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)  # those that print
        logger.addHandler(reasons)
        logger.propagate = False
        try:
            workflow = _dry_run(api, call)
        except WorkflowError as error:
            raise UserError(" ".join(str(error).split())) from None
        dag, order = workflow.dag, [rule.name for rule in workflow.rules]
        return [
            as_planned(job, reasons.of.get(dag.jobid(job), ""))
            for job in sorted(dag.jobs, key=lambda job: order.index(job.rule.name))
        ]


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


def _dry_run(api: Any, call: Mapping[str, Any]) -> Any:
    """Plan a study with the settings of a call; Snakemake's own workflow after that."""
    from snakemake.settings.enums import RerunTrigger
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        DeploymentMethod,
        DeploymentSettings,
        ResourceSettings,
    )

    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=1),
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
    workflow.dag(
        DAGSettings(
            force_incomplete=True,  # what a killed run left is made again
            rerun_triggers=RerunTrigger.parse_choices_set(call["rerun_triggers"]),
            max_checksum_file_size=call["max_checksum_file_size"],
        )
    ).execute_workflow(executor="dryrun")
    return workflow._workflow
