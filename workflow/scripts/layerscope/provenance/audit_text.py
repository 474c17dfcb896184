"""An audit in words for a terminal, and as JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from layerscope.provenance.audit import Audit, Part
from layerscope.provenance.checks import Finding
from layerscope.provenance.present import dotted
from layerscope.run_records.content import Record

_SHOWN = 12  # settings in a line
_NAMED = 3  # paths of the same finding


def verdict(audit: Audit) -> str:
    """One sentence."""
    found = len(audit.findings)
    records = [part.made.record for part in audit.parts.values() if part.made]
    jobs = len({(record["started"], record["rule"], record["writer"]) for record in records})
    raw = sum(part.made is None for part in audit.parts.values())
    seen = f"{len(audit.parts)} files and folders of {jobs} jobs and {raw} raw sources"
    if found:
        return f"{found} {'thing does' if found == 1 else 'things do'} not verify ({seen} checked)."
    return f"Everything verifies: {seen} checked."


def settings_of(record: Record) -> dict[str, Any]:
    """Parameters of a job without paths, one level deep."""
    paths = {entry["path"] for entry in [*record["inputs"], *record["outputs"]]}

    def is_path(value: Any) -> bool:
        if isinstance(value, list):
            return bool(value) and all(map(is_path, value))
        return isinstance(value, str) and (
            value in paths or value.startswith(("results/", "resources/"))
        )

    return {
        name: value
        for name, value in dotted(record["parameters"]).items()
        if not is_path(value) and not name.startswith(("statements.", "configuration."))
    }


def when(record: Record) -> str:
    """When and where a job ran, and how long."""
    started = datetime.fromisoformat(record["started"])
    text = f"{started:%Y-%m-%d %H:%M:%S}"
    if record["ended"]:
        took = (datetime.fromisoformat(record["ended"]) - started).total_seconds()
        text += f", {took:.1f} s"
    machine = record.get("machine") or {}
    text += f", {machine.get('host', record['writer'].rpartition('-')[0])}"
    for gpu in machine.get("gpus", []):
        text += f", {gpu['name']}"
    if record["slurm"]:
        text += f", SLURM job {record['slurm']['job']}"
    return text


def _line(part: Part) -> str:
    digest = str(part.entry.get("sha256", "no digest"))[:12]
    words = [part.path, f"[{digest}]"]
    if part.made:
        record = part.made.record
        words.append(f"{record['rule']}, {when(record)}")
    else:
        words.append("raw data")
    gone = part.entry.get("temporary")
    return "  ".join([*words, *(["temporary"] if gone else [])])


def tree(audit: Audit, target: str) -> Iterator[str]:
    """The ancestry of a result, a line each; what stood above already is only named."""
    seen: set[str] = set()

    def walk(path: str, first: str, rest: str) -> Iterator[str]:
        part = audit.parts[path]
        marks = sorted({finding.kind for finding in part.findings})
        flag = f"  !! {', '.join(marks)}" if marks else ""
        if path in seen:
            yield f"{first}{path}  (above)"
            return
        seen.add(path)
        yield f"{first}{_line(part)}{flag}"
        if part.made:
            inner = "│ " if part.inputs else "  "
            settings = [
                f"{name}={json.dumps(value, ensure_ascii=False)}"
                for name, value in settings_of(part.made.record).items()
            ]
            for start in range(0, len(settings), _SHOWN):
                yield f"{rest}{inner}  {' '.join(settings[start : start + _SHOWN])}"
        inputs = part.inputs
        for place, name in enumerate(inputs):
            branch = "└─ " if place == len(inputs) - 1 else "├─ "
            below = "   " if place == len(inputs) - 1 else "│  "
            yield from walk(name, rest + branch, rest + below)

    yield from walk(target, "", "")


def grouped(findings: Iterable[Finding]) -> dict[tuple[str, str], list[str]]:
    """Paths of findings by kind and message."""
    same: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        same.setdefault((finding.kind, finding.message), []).append(finding.path)
    return same


def in_words(audit: Audit, with_trees: bool) -> str:
    """The whole audit for a terminal."""
    lines: list[str] = []
    if with_trees:
        for target in audit.targets:
            lines += [*tree(audit, target), ""]
    for (kind, message), paths in grouped(audit.findings).items():
        more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
        lines.append(f"!! {kind}: {', '.join(paths[:_NAMED])}{more}: {message}")
    return "\n".join([*lines, verdict(audit)])


def as_json(audit: Audit) -> dict[str, Any]:
    """The whole audit for machines."""
    return {
        "study": audit.study.name,
        "targets": audit.targets,
        "holds": not audit.findings,
        "commit": audit.commit,
        "findings": [finding._asdict() for finding in audit.findings],
        "parts": {
            path: {
                "sha256": part.entry.get("sha256"),
                "bytes": part.entry.get("bytes"),
                "temporary": bool(part.entry.get("temporary")),
                "record": str(part.made.file.relative_to(audit.study.root)) if part.made else None,
                "job": _job(part.made.record) if part.made else None,
                "inputs": part.inputs,
                "findings": [finding._asdict() for finding in part.findings],
            }
            for path, part in audit.parts.items()
        },
    }


def _job(record: Record) -> dict[str, Any]:
    names = ("rule", "command", "parameters", "seeds", "lineage", "commit", "dirty", "started")
    more = ("ended", "exit", "slurm", "versions", "machine", "peak_memory_bytes")
    return {name: record.get(name) for name in (*names, *more)}
