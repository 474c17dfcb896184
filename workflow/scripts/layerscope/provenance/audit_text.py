"""An audit in words for a terminal, and as JSON for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from layerscope.core.errors import printable
from layerscope.core.wording import counted, few
from layerscope.provenance.audit import Audit, Part
from layerscope.provenance.checks import Finding
from layerscope.provenance.elsewhere import is_caption, is_elsewhere
from layerscope.provenance.present import dotted
from layerscope.run_records.content import Record

_SHOWN = 12  # settings in a line
_FINDINGS = 5  # lines of findings; of more, a few of each kind
_OF_KIND = 3
#: Packages whose versions are named first; others are where jobs had different ones.
_MAIN = ("python", "snakemake", "torch", "transformers", "scikit-learn", "numpy")


def verdict(audit: Audit) -> str:
    """One sentence."""
    found = len(audit.findings)
    records = [part.made.record for part in audit.parts.values() if part.made]
    jobs = len({(record["started"], record["rule"], record["writer"]) for record in records})
    captions, raw = _sources(audit)
    files = f"{len(audit.parts)} files and folders" if len(audit.parts) > 1 else "1 file or folder"
    sources = [counted(jobs, "job"), counted(len(raw), "raw source")]
    if captions:
        sources[:2] = [", ".join(sources), counted(len(captions), "caption")]
    seen = f"{files} of {' and '.join(sources)} checked"
    gone = sum(is_elsewhere(audit.study, path) for path in audit.parts)
    if gone:
        seen += f", {gone} of them only by the digests in the records, since they are not here"
    if found:
        return f"{found} {'thing does' if found == 1 else 'things do'} not verify ({seen})."
    return f"Everything verifies: {seen}."


def _sources(audit: Audit) -> tuple[list[str], list[str]]:
    """Captions of the workflow that a report was made from, and raw data."""
    given = [path for path, part in audit.parts.items() if part.made is None]
    captions = [path for path in given if is_caption(audit.study, path)]
    return captions, [path for path in given if path not in set(captions)]


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


def facts(audit: Audit) -> dict[str, str]:
    """By what, when, where and by whom everything was made, by title; the target's own first."""
    kept = {(k.record["started"], k.file): k for p in audit.parts.values() if (k := p.made)}
    records = [kept[key].record for key in sorted(kept)]
    if not records:
        return {"Checked against": _present(audit)}
    made = audit.parts[audit.targets[0]].made if len(audit.targets) == 1 else None
    own = {"Made by": f"{made.record['rule']}, {when(made.record)}"} if made else {}
    times = [time for record in records for time in (record["started"], record["ended"]) if time]
    ran = sorted(time[:19].replace("T", " ") for time in times)
    machines = [record["machine"] for record in records if "machine" in record]
    users = {f"{each.get('user', 'unknown')} on {each['host']}" for each in machines}
    rules = Counter(record["rule"] for record in _each_once(records))
    captions, raw = _sources(audit)
    processors = {f"{each['processor']}, {each['cores']} cores" for each in machines}
    gpus = {gpu["name"] for each in machines for gpu in each["gpus"]}
    return {
        **own,
        "Commit": few(sorted({_commit(record["commit"], record["dirty"]) for record in records}))
        + f"; checked against {_present(audit)}",
        "Versions": _versions(records),
        "User": few(sorted(users)),
        "Machine": few(sorted({*processors, *gpus})),
        "Ran": f"{ran[0]} to {ran[-1]} UTC",
        "Jobs": f"{rules.total()}: "
        + few([f"{number} {rule}" for rule, number in rules.most_common()]).replace(
            "more", "other rules"
        ),
        "Raw data": few(raw),
        **({"Captions": f"{len(captions)} of the workflow"} if captions else {}),
        **({"Left over": f"{few(audit.left_over)}: snakemake clean"} if audit.left_over else {}),
        **({"Outside": f"{few(audit.outside)}: not audited"} if audit.outside else {}),
    }


def _each_once(records: Iterable[Record]) -> list[Record]:
    jobs = {(record["started"], record["rule"], record["writer"]): record for record in records}
    return list(jobs.values())


def _commit(commit: str | None, dirty: bool | None) -> str:
    if commit is None:
        return "none, since the workflow was not in a git checkout"
    return f"{commit[:12]} with edits that were not committed" if dirty else commit[:12]


def _present(audit: Audit) -> str:
    """The code that results were held against."""
    if audit.commit is not None:
        return audit.commit[:12]
    if audit.study.left_out:
        return "the programs in this archive"
    return "programs outside any git checkout"


def _versions(records: Iterable[Record]) -> str:
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for name, version in record["versions"].items():
            found.setdefault(name, {})[version] = None
    named = [name for name in _MAIN if name in found]
    named += sorted(name for name in found if len(found[name]) > 1 and name not in _MAIN)
    more = f" and {len(found) - len(named)} more packages" if len(found) > len(named) else ""
    return ", ".join(f"{name} {' and '.join(found[name])}" for name in named) + more


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
    task = audit.parts[target].task
    waiting = [(target, "", "")]  # path, and what stands before its line and those below it
    while waiting:  # a chain may be longer than Python can call itself
        path, first, rest = waiting.pop()
        part = audit.parts[path]
        marks = sorted({finding.kind for finding in part.findings})
        flag = f"  !! {', '.join(marks)}" if marks else ""
        if path in seen:
            yield f"{first}{path}  (above)"
            continue
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
        last, *others = reversed(audit.inputs_of(path, task) or [""])
        if last:
            waiting.append((last, f"{rest}└─ ", f"{rest}   "))
        waiting += [(name, f"{rest}├─ ", f"{rest}│  ") for name in others]


def grouped(findings: Iterable[Finding]) -> dict[tuple[str, str], list[str]]:
    """Paths of findings by kind and message."""
    same: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        same.setdefault((finding.kind, finding.message), []).append(finding.path)
    return same


def _finding_lines(findings: Iterable[Finding], every: bool) -> list[str]:
    """A line each kind and message; without `every` and where these are many, a few each kind."""
    of_kind: dict[str, list[str]] = {}
    for (kind, message), paths in grouped(findings).items():
        of_kind.setdefault(kind, []).append(f"!! {kind}: {few(paths)}: {message}")
    if every or sum(map(len, of_kind.values())) <= _FINDINGS:
        return [line for lines in of_kind.values() for line in lines]
    shown = []
    for kind, lines in of_kind.items():
        shown += lines[:_OF_KIND]
        if len(lines) > _OF_KIND:
            shown.append(f"!! {kind}: and {len(lines) - _OF_KIND} more: --tree")
    return shown


def in_words(audit: Audit, trees: bool = False, heading: str = "") -> str:
    """The audit for a terminal: verdict, what does not verify, what everything was made by.

    Args:
        audit: what was seen.
        trees: show all of it: the ancestry of each target, and every finding.
        heading: a line of where the target comes from, after the verdict.
    """
    lines = [verdict(audit), *([heading] if heading else [])]
    lines += _finding_lines(audit.findings, every=trees)
    lines += [f"{title:<9} {text}" for title, text in facts(audit).items()]
    if trees:
        for target in audit.targets:
            lines += ["", *tree(audit, target)]
        lines += ["", "What this audit cannot know", *(f"- {each}" for each in audit.unknown)]
    else:
        lines.append(
            "The ancestry with settings, and what an audit cannot know (user, machine, times, most "
            "versions): --tree, or --html FILE"
        )
    return "\n".join(map(printable, lines))


def as_json(audit: Audit) -> dict[str, Any]:
    """The whole audit for machines."""
    return {
        "study": audit.study.name,
        "targets": audit.targets,
        "holds": not audit.findings,
        "commit": audit.commit,
        "findings": [finding._asdict() for finding in audit.findings],
        "outside": audit.outside,
        "left_over": audit.left_over,
        "unknown": audit.unknown,
        "parts": {
            path: {
                "sha256": part.entry.get("sha256"),
                "bytes": part.entry.get("bytes"),
                "temporary": bool(part.entry.get("temporary")),
                "record": audit.study.named(part.made.file) if part.made else None,
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
