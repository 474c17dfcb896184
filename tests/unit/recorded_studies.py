"""Small studies whose jobs are made up and whose run records are real."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerscope.config.load import read_yaml, validate
from layerscope.config.targets import targets
from layerscope.core.files import by_folder, canonical_json
from layerscope.core.lineage import mark, of_this_run
from layerscope.provenance.present import Code
from layerscope.run_records.recorder import recorded

MINIATURE = Path(__file__).parents[1] / "studies" / "miniature.yaml"
CODE = Code(Path(__file__).parents[2] / "workflow" / "scripts", None)
CONFIG = "results/s/config.json"
FIGURE = "results/s/figures/f-nli.svg"
LINEAGE = "2" * 64


def ran(
    rule: str,
    outputs: Sequence[str],
    inputs: Sequence[str] = (),
    options: Sequence[str] = (),
    program: str = "write_config",
    text: str | None = None,
    **more: Any,
) -> None:
    """Let a job run in the working directory: each output has a text, or says who made it."""
    job = {
        "rule": rule,
        "study": "s",
        "wildcards": {},
        "inputs": by_folder(list(inputs)),
        "outputs": [{"path": output, "temporary": False} for output in outputs],
        "packages": [],
        "log": f"logs/s/{rule}.log",
        "commit": "c" * 40,
        "dirty": False,
        "configuration": None,
        **more,
    }
    Path("logs/s").mkdir(parents=True, exist_ok=True)
    Path(job["log"]).write_text(rule)
    with recorded([f"{program}.py", *options, "--record", canonical_json(job)]):
        for output in outputs:
            os.makedirs(os.path.dirname(output), exist_ok=True)
            origin = of_this_run()
            assert origin is not None
            Path(output).write_text(text or f"<svg>{output} {mark(origin.lineage)}</svg>")


def run_study() -> None:
    """In the working directory: data of two tasks, the table of both, a figure of one task."""
    Path("raw.csv").write_text("text")
    given = read_yaml(MINIATURE) | {"study": "s"}
    Path("my.yaml").write_text(json.dumps(given))
    text = validate(given).model_dump_json()
    configuration = {"files": ["my.yaml"], "given": {}}
    ran("configuration", [CONFIG], configuration=configuration, text=text)
    for task in ("nli", "ner"):
        data = f"results/s/data/{task}.parquet"
        ran(f"prepare_{task}", [data], ["raw.csv"], wildcards={"task": task})
    both = [f"results/s/data/{task}.parquet" for task in ("nli", "ner")]
    ran("table", ["results/s/tables/t.parquet"], both)
    ran("figure_f", [FIGURE], ["results/s/tables/t.parquet"], wildcards={"task": "nli"})


def run_rest() -> list[str]:
    """The same for all that the study's configuration asks for, whose paths it gives."""
    study = validate(json.loads(Path(CONFIG).read_text()))
    asked = [f"results/s/{path}" for paths in targets(study).values() for path in paths]
    asked.remove(CONFIG)
    ran("rest", asked)
    return asked


def run_report(read: Sequence[str]) -> str:
    """The study's report of some results, with a caption of the workflow; gives its path."""
    caption, report = Path("report/a.rst"), "results/s/report.html"
    caption.parent.mkdir(exist_ok=True)
    caption.write_text("A figure.")
    ran("report_page", [report], [*read, str(caption)], program="write_report")
    return report


def whole_record() -> dict[str, Any]:
    """Of a job that ended well, as its program writes it."""
    return {
        "study": "demo",
        "rule": "finetune",
        "wildcards": {"model": "a"},
        "program": "finetune",
        "part": None,
        "command": "python finetune.py --seed 1 --out model",
        "parameters": {"seed": 1, "out": "model"},
        "seeds": {"seed": 1},
        "inputs": [],
        "outputs": [{"path": "model", "temporary": False}],
        "log": {"path": "log.txt"},
        "lineage": LINEAGE,
        "code": {"digest": "c", "modules": {}},
        "commit": None,
        "dirty": None,
        "configuration": None,
        "versions": {"python": "3.11.7"},
        "slurm": None,
        "writer": "host-1",
        "started": "2026-01-01T00:00:00.000000+00:00",
        "ended": "2026-01-01T00:00:01.000000+00:00",
        "exit": 0,
        "machine": {"host": "host", "system": "s", "processor": "p", "cores": 1, "gpus": []},
        "peak_memory_bytes": 1,
        "peak_gpu_memory_bytes": None,
        "digest": "d",
    }
