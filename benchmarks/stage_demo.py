"""What a finished run of the demo took, from what it left behind; nothing is run here.

- wall time from the first job's start to the last one's end;
- seconds of its jobs by rule, which add up to more than that where jobs ran side by side;
- the critical path: the chain of jobs of which each needs a file of the one before, that took
  longest. No number of cores makes the demo faster than that.

Records beside the results have all of it (`*.run.json`); `benchmarks/` has the time of the shells.
Equal: in every record a job began after what it reads had been made.

    python benchmarks/stage_demo.py [--smoke] [--out FILE]
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import stage

ROOT = Path(__file__).resolve().parents[1]
GOAL = 360.0

Record = Mapping[str, Any]


def read_records(study: Path) -> list[Record]:
    """Records of all jobs that ended well, each once, in the order of their start."""
    found: dict[tuple[str, str], Record] = {}
    for path in study.rglob("*.run.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("exit") == 0:
            found[record["rule"], json.dumps(record["wildcards"], sort_keys=True)] = record
    return sorted(found.values(), key=lambda record: record["started"])


def seconds(record: Record) -> float:
    """How long a job took."""
    return moment(record["ended"]) - moment(record["started"])


def moment(text: str) -> float:
    """A time of a record in seconds."""
    return datetime.fromisoformat(text).timestamp()


def _name(record: Record) -> str:
    return " ".join([record["rule"], *record["wildcards"].values()])


def _needed(records: Iterable[Record]) -> list[list[int]]:
    """By job, the places of the jobs that made what it reads."""
    records = list(records)
    maker = {
        output["path"]: place
        for place, record in enumerate(records)
        for output in record["outputs"]
    }
    return [
        sorted({maker[each["path"]] for each in record["inputs"] if each["path"] in maker})
        for record in records
    ]


def critical_path(records: list[Record]) -> tuple[float, list[str]]:
    """Seconds and names of the chain of jobs that took longest. Makers stand before readers."""
    best: list[tuple[float, int | None]] = []
    for record, needed in zip(records, _needed(records), strict=True):
        before = max(needed, key=lambda place: best[place][0], default=None)
        best.append((seconds(record) + (best[before][0] if before is not None else 0.0), before))
    last: int | None = max(range(len(best)), key=lambda place: best[place][0])
    total, chain = best[last][0], []  # type: ignore[index]
    while last is not None:
        chain.append(f"{_name(records[last])}: {seconds(records[last]):.1f} s")
        last = best[last][1]
    return total, chain[::-1]


def too_early(records: list[Record]) -> float:
    """The most seconds that a job began before an input's job had ended; 0 if none did."""
    pairs = (
        moment(records[place]["ended"]) - moment(record["started"])
        for record, needed in zip(records, _needed(records), strict=True)
        for place in needed
    )
    return max([0.0, *pairs])


def of_shells(study: Path) -> float:
    """Seconds of all jobs as Snakemake measured them, start of the shell included."""
    total = 0.0
    for path in (study / "benchmarks").rglob("*.tsv"):
        lines = path.read_text(encoding="utf-8").splitlines()
        total += sum(float(line.split("\t")[0]) for line in lines[1:])
    return total


def made_up() -> list[Record]:
    """Records of three jobs, two of them in a chain, for a small test of the arithmetic."""

    def job(rule: str, start: int, end: int, needs: str, makes: str) -> Record:
        return {
            "rule": rule, "wildcards": {}, "exit": 0, "inputs": [{"path": needs}],
            "outputs": [{"path": makes}], "started": f"2024-01-01T00:00:{start:02d}+00:00",
            "ended": f"2024-01-01T00:00:{end:02d}+00:00",
        }  # fmt: skip

    return [job("a", 0, 5, "raw", "x"), job("b", 0, 7, "raw", "y"), job("c", 7, 10, "x", "z")]


def run(size: str, study: Path = ROOT / "results" / "demo") -> dict[str, Any]:
    """Read; `size` "smoke" takes made-up records."""
    records = made_up() if size == "smoke" else read_records(study)
    result: dict[str, Any] = {
        "stage": "demo", "shape": "no finished run of the demo is there: make demo", "equal": {},
        "ways": {}, "ratios": {}, "limit": {}, "goal": "6 minutes after installation",
        "reached": False, "notes": "",
    }  # fmt: skip
    if not records or (size != "smoke" and not (study / "figures" / "scores.svg").is_file()):
        return result
    begin = min(moment(record["started"]) for record in records)
    wall = max(moment(record["ended"]) for record in records) - begin
    by_rule: dict[str, list[float]] = {}
    for record in records:
        by_rule.setdefault(record["rule"], []).append(seconds(record))
    longest, chain = critical_path(records)
    rules = sorted(by_rule.items(), key=lambda item: -sum(item[1]))
    every = sum(map(sum, by_rule.values()))
    return result | {
        "shape": f"{len(records)} jobs of the demo, from their records",
        "equal": stage.equal("seconds that a job began too early", too_early(records), 0, 0.0),
        "ways": {"layerscope": stage.way(len(records), [wall], "jobs/s")},
        "ratios": {},
        "limit": {
            "critical path, of the wall time": longest / wall,
            "jobs side by side on average": every / wall,
        },
        "rules": {
            name: {"jobs": len(each), "seconds": round(sum(each), 2)} for name, each in rules
        },
        "critical_path": chain,
        "reached": bool(wall <= GOAL),
        "notes": f"wall {wall:.0f} s from the first job's start to the last one's end; jobs "
        f"{every:.0f} s in all, {of_shells(study):.0f} s with their shells; critical path "
        f"{longest:.0f} s. A run in parts has its pauses in the wall time; start of Snakemake, "
        "audit and report are not in it",
    }


if __name__ == "__main__":
    stage.main(run)
