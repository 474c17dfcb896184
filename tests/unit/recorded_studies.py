"""Small studies whose jobs are made up and whose run records are real."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerscope.core.files import by_folder, canonical_json
from layerscope.core.lineage import mark, of_this_run
from layerscope.provenance.present import Code
from layerscope.run_records.recorder import recorded

CODE = Code(Path(__file__).parents[2] / "workflow" / "scripts", None)
FIGURE = "results/s/figures/f-nli.svg"
LINEAGE = "2" * 64


def ran(
    rule: str,
    outputs: Sequence[str],
    inputs: Sequence[str] = (),
    options: Sequence[str] = (),
    program: str = "write_config",
    **more: Any,
) -> None:
    """Let a job run in the working directory: each output says by whom it was made."""
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
            Path(output).write_text(f"<svg>{output} {mark(origin.lineage)}</svg>")


def run_study() -> None:
    """In the working directory: data of two tasks, the table of both, a figure of one task."""
    Path("raw.csv").write_text("text")
    ran("configuration", ["results/s/config.json"])
    for task in ("nli", "ner"):
        data = f"results/s/data/{task}.parquet"
        ran(f"prepare_{task}", [data], ["raw.csv"], wildcards={"task": task})
    both = [f"results/s/data/{task}.parquet" for task in ("nli", "ner")]
    ran("table", ["results/s/tables/t.parquet"], both)
    ran("figure_f", [FIGURE], ["results/s/tables/t.parquet"], wildcards={"task": "nli"})
