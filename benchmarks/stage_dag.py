"""The plan of the published study, config/paper.yaml, with ten seeds: a dry run.

- layerscope: `snakemake --dry-run`, as it is called by hand, wall and processor time.
- limit: importing Snakemake, the part of a dry run that no study has any say in. The share is that
  of all of a dry run's time.
- ours: the share of a dry run's time in the workflow's own rules and library, under a profiler:
  what can be made faster here.

Equal: the jobs of the dry run are as many as `snakemake estimate` counts.

    python benchmarks/stage_dag.py [--smoke] [--out FILE]
"""

from __future__ import annotations

import copy
import pstats
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dag
import measure
import stage
import yaml

from layerscope.config.load import read_yaml

#: Seeds, and turns.
SIZES = {"full": (10, 3), "smoke": (1, 1)}
GOAL = 10.0


def study_of(seeds: int) -> dict[str, Any]:
    """The published study with so many seeds, without its file of published values."""
    study = copy.deepcopy(read_yaml(dag.ROOT / "config" / "paper.yaml"))
    study["variants"]["seeds"] = list(range(1, seeds + 1))
    del study["references"]
    return study


def estimated_jobs(folder: Path, options: tuple[str, ...]) -> int:
    """Jobs that `snakemake estimate` counts, and `all`."""
    command = [sys.executable, "-m", "snakemake", "estimate", *options]
    ran = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    total = re.search(r"^total +([\d,]+) ", ran.stdout + ran.stderr, re.MULTILINE)
    return 1 + int(total[1].replace(",", "")) if total else 0


def share_of_ours(folder: Path, options: tuple[str, ...]) -> float:
    """Share of a dry run's time in functions of the workflow itself, under a profiler."""
    profile = folder / "profile"
    command = ["-m", "cProfile", "-o", str(profile), "-m", "snakemake", *options]
    subprocess.run([sys.executable, *command], cwd=folder, check=True, capture_output=True)
    stats = pstats.Stats(str(profile)).stats  # type: ignore[attr-defined]
    own, total = 0.0, 0.0
    for (file, _, _), (_, _, inside, _, callers) in stats.items():
        total += inside
        if _ours(file):
            own += inside
        elif file == "~" or "ast.py" in file or "json" in file:  # built in, by who called it
            called = sum(each[2] for each in callers.values()) or 1.0
            own += inside * sum(e[2] for who, e in callers.items() if _ours(who[0])) / called
    return own / total


def _ours(file: str) -> bool:
    return str(dag.ROOT / "workflow") in file or file == str(dag.ROOT / "Snakefile")


def run(size: str) -> dict[str, Any]:
    """Measure; `size` is "full" or "smoke"."""
    seeds, turns = SIZES[size]
    study = study_of(seeds)
    if size == "smoke":
        study["models"] = dict([*study["models"].items()][:1])
        study["variants"]["percentages"] = [0, 100]
    runs, bare = [], []
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        config = folder / "study.yaml"
        config.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
        given = ("--configfile", str(config), "--profile", str(dag.ROOT / "profiles" / "local"))
        options = (*given, "--dry-run")
        for _ in range(turns):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import snakemake.cli"], check=True, cwd=folder)
            bare.append(time.perf_counter() - begun)
            began = time.perf_counter()
            runs.append(dag.measure(folder, *options))
            runs[-1]["seconds"] = time.perf_counter() - began
        snakefile = ("--snakefile", str(dag.ROOT / "Snakefile"))
        own = share_of_ours(folder, (*snakefile, *options))
        expected = estimated_jobs(folder, (*snakefile, *given))
    jobs = runs[0]["jobs"]
    seconds = [each["seconds"] for each in runs]
    return {
        "stage": "dag",
        "shape": f"dry run of config/paper.yaml with {seeds} seeds, {jobs} jobs",
        "equal": stage.equal("jobs, of those that estimate counts", jobs, expected, 0),
        "ways": {
            "layerscope": stage.way(jobs, seconds, "jobs/s")
            | {"cpu_seconds": [each["cpu"] for each in runs], "peak_mb": runs[0]["peak_mb"]},
            "import of Snakemake": stage.way(1, bare, "imports/s"),
        },
        "ratios": {},
        "limit": {
            "import of Snakemake, of a dry run": measure.ratio(bare, seconds),
            "ours, of a dry run under a profiler": own,
        },
        "goal": f"under {GOAL:.0f} s",
        "reached": bool(measure.spread(seconds)["median"] < GOAL),
        "notes": "nothing of the study is made; without its table of published values, which adds "
        "one table and one figure",
    }


if __name__ == "__main__":
    stage.main(run)
