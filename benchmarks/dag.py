"""Time and memory that Snakemake itself takes for large studies, while their jobs do nothing.

The study is config/paper.yaml with its models and tasks repeated under other names. For each
number of seeds: a dry run (`plan`); whole runs, by number of cores, whose programs only make their
output files (`run`, see nothing.sh); and a dry run of what was just made (`again`). Nothing is
fetched.

    python benchmarks/dag.py                                 # about ten minutes on two cores
    python benchmarks/dag.py --seeds 1 --cores 2             # half a minute
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


def large_study(models: int, tasks: int, seeds: int) -> dict[str, Any]:
    """The published study with so many models, tasks and seeds."""
    study = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text(encoding="utf-8"))
    for section, count in (("models", models), ("tasks", tasks)):
        entries = list(study[section].items())
        study[section] = {}
        for number in range(count):
            name, entry = entries[number % len(entries)]
            turn, entry = number // len(entries) + 1, copy.deepcopy(entry)
            if "derived_from" in entry:
                entry["derived_from"] += f"-{turn}"
            study[section][f"{name}-{turn}"] = entry
    study["variants"]["seeds"] = list(range(1, seeds + 1))
    del study["references"]
    return study


def measure(folder: Path, *options: str) -> dict[str, Any]:
    """Run Snakemake in `folder`.

    Returns:
        `jobs`; `seconds` of the clock; `cpu` seconds, its jobs included; and `peak_mb`, of the
        largest process.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *options]
    with open(folder / "output.txt", "w+", encoding="utf-8") as output:
        begun = os.times().elapsed
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"BASH_ENV": str(ROOT / "benchmarks" / "nothing.sh")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = os.times().elapsed - begun
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.exit(f"error: {' '.join(command)}\n{text[-3000:]}")
    total = re.search(r"^total +(\d+)$", text, re.MULTILINE)
    return {
        "jobs": int(total[1]) if total else 0,
        "seconds": round(seconds, 1),
        "cpu": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }


def measure_study(study: dict[str, Any], cores: list[int]) -> dict[str, Any]:
    """Plan the study, run it on each number of cores in a folder of its own, and plan it again."""
    results: dict[str, Any] = {"run": {}}
    with tempfile.TemporaryDirectory() as top:
        config = Path(top, "study.yaml")
        config.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
        options = ("--configfile", str(config), "--profile", str(ROOT / "profiles" / "local"))
        for count in [0, *cores]:
            folder = Path(top, f"cores-{count}")
            folder.mkdir()
            if not count:
                results["plan"] = measure(folder, *options, "--dry-run")
                continue
            results["run"][count] = measure(folder, *options, "--cores", str(count))
            results["again"] = measure(folder, *options, "--dry-run")
    return results


def machine() -> dict[str, Any]:
    """What the figures depend on besides the study."""
    return {
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        "snakemake": version("snakemake"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--cores", type=int, nargs="*", default=[2, 200], help="none: plan alone")
    parser.add_argument("--out", type=Path, help="JSON; without it, the screen")
    arguments = parser.parse_args()

    results: dict[str, Any] = {"machine": machine(), "seeds": {}}
    for seeds in arguments.seeds:
        study = large_study(arguments.models, arguments.tasks, seeds)
        results["seeds"][seeds] = measure_study(study, arguments.cores)
        print(f"{seeds} seeds: {json.dumps(results['seeds'][seeds])}", file=sys.stderr)
    text = json.dumps(results, indent=2)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
