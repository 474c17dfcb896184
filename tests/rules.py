"""The rules of the workflow as Snakemake has read them, those that loops make among them."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from running import ROOT, environment

_PROGRAM = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import OutputSettings, ResourceSettings

with SnakemakeApi(OutputSettings()) as api:
    read = api.workflow(ResourceSettings(cores=1), snakefile=Path(sys.argv[1]))
    print(json.dumps([
        {
            "name": rule.name,
            "docstring": rule.docstring or "",
            "input": [str(path) for path in rule.input],
            "output": [str(path) for path in rule.output],
            "log": [str(path) for path in rule.log],
            "benchmark": str(rule.benchmark or ""),
            "conda": str(rule.conda_env or ""),
            "resources": sorted(rule.resources),
            "params": {
                name: value if isinstance(value, str) else type(value).__name__
                for name, value in rule.params.items()
            },
            "program": Path(rule.params.get("program", "")).stem,
            "shell": rule.shellcmd,
            "is_run": rule.is_run,
            "local": rule.name in read._workflow._localrules,
        }
        for rule in read._workflow.rules
    ]))
"""


class Rule(NamedTuple):
    """What of a rule tests look at."""

    name: str
    docstring: str
    input: list[str]
    output: list[str]
    log: list[str]
    benchmark: str
    conda: str
    resources: list[str]
    params: dict[str, Any]
    program: str
    shell: str | None
    is_run: bool
    local: bool


@cache
def rules(snakefile: Path = ROOT / "Snakefile") -> dict[str, Rule]:
    """All rules by name, of the study that runs without any --configfile."""
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(snakefile)],
        cwd=snakefile.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return {rule["name"]: Rule(**rule) for rule in json.loads(ran.stdout)}
