"""Run stages of the benchmark, each in a process of its own, and put down what they found.

    python benchmarks/run.py                      # all of them: make bench
    python benchmarks/run.py svm crf              # some of them: make bench STAGES="svm crf"
    python benchmarks/run.py --smoke --results FOLDER

Writes STAGE.json to benchmarks/results, with the machine and its limits, measured just before the
stage, and prints a table. A stage that fails is said to have failed, and the others go on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "workflow" / "scripts"
LIMITS = "import json, machine; print(json.dumps([machine.describe(), machine.limits()]))"


def stages() -> dict[str, Path]:
    """Programs by name of the stage."""
    return {path.stem.removeprefix("stage_"): path for path in sorted(HERE.glob("stage_*.py"))}


def environment() -> dict[str, str]:
    """What stages run with: modules of the library, and nothing that reaches for a network."""
    paths = [str(SCRIPTS), str(HERE), os.environ.get("PYTHONPATH", "")]
    known = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **known}


def limits() -> tuple[dict[str, Any], dict[str, Any]]:
    """The machine, and what it can do now."""
    ran = subprocess.run(
        [sys.executable, "-c", LIMITS], env=environment(), check=True, capture_output=True
    )
    described, found = json.loads(ran.stdout)
    return described, found


def measure_stage(program: Path, smoke: bool) -> dict[str, Any]:
    """Run a stage.

    Raises:
        CalledProcessError: it failed; it has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "found.json")
        command = [sys.executable, str(program), *(["--smoke"] if smoke else []), "--out", str(out)]
        subprocess.run(command, env=environment(), check=True)
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def number(value: Any) -> str:
    """A number, or a median with the lowest and highest."""
    if isinstance(value, dict):
        return f"{value['median']:.3g} ({value['low']:.3g} to {value['high']:.3g})"
    return f"{value:.3g}"


def lines(found: dict[str, Any]) -> list[str]:
    """A stage in the table on the screen."""
    verdict = "reached" if found["reached"] else "not reached"
    shown = [f"{found['stage']:<12} {found['goal']}: {verdict}"]
    shown += [f"{'':<14}{name}: {number(each)} x" for name, each in found["ratios"].items()]
    shown += [f"{'':<14}limit, {name}: {number(each)}" for name, each in found["limit"].items()]
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write, print."""
    known = stages()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(known)}; or all")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes: does it work at all")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.stages if name not in known]:
        parser.error(f"no stage {', '.join(unknown)}; allowed: {', '.join(known)}")
    chosen.results.mkdir(parents=True, exist_ok=True)

    table: list[str] = []
    failed = []
    for name in chosen.stages or known:
        print(f"{name} ...", file=sys.stderr, flush=True)
        begun = time.perf_counter()
        try:
            described, reached = ({}, {}) if chosen.smoke else limits()
            found = measure_stage(known[name], chosen.smoke)
        except subprocess.CalledProcessError as error:
            failed.append(name)
            table.append(f"{name:<12} FAILED with exit code {error.returncode}")
            continue
        found |= {
            "machine": described,
            "machine limits": reached,
            "measured": datetime.now(UTC).isoformat(timespec="minutes"),
            "minutes": round((time.perf_counter() - begun) / 60, 1),
        }
        text = json.dumps(found, indent=2) + "\n"
        (chosen.results / f"{name}.json").write_text(text, encoding="utf-8")
        table += lines(found)
    print("\n".join(table))
    if failed:
        sys.exit(f"error: {', '.join(failed)} failed")


if __name__ == "__main__":
    main()
