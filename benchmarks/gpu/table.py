"""What the GPU benchmark found, as a table in Markdown."""

from __future__ import annotations

from typing import Any

Found = dict[str, Any]


def cells(part: str, entry: Found) -> list[tuple[str, ...]]:
    """A part's lines of the table."""
    if "failed" in entry:
        return [(part, "FAILED", entry["failed"], "", "no")]
    marks = {True: "yes", False: "NO", None: ""}
    return [
        (part, found["what"], shown(found), found["goal"], marks[found["ok"]])
        for found in entry["rows"]
    ]


def shown(found: Found) -> str:
    """A value with its unit."""
    value = found["value"]
    if isinstance(value, dict):
        text = f"{value['median']:.4g} ({value['low']:.4g} to {value['high']:.4g})"
    else:
        text = value if isinstance(value, str) else f"{value:.4g}"
    return f"{text} {found['unit']}".strip()


def table(parts: Found) -> str:
    """Everything found, as Markdown."""
    rows = [("part", "what", "measured", "goal", "holds")]
    rows += [each for part, entry in parts.items() for each in cells(part, entry)]
    lines = [f"| {' | '.join(each)} |" for each in rows]
    return "\n".join([lines[0], "| --- | --- | --- | --- | --- |", *lines[1:]])


def page(parts: Found) -> str:
    """The table of docs/gpu.md, and where and when its parts were measured."""
    if not parts:
        return "Not measured yet."
    told = []
    for part, entry in parts.items():
        gpus = ", ".join(gpu["name"] for gpu in entry["machine"]["gpus"]) or "no GPU"
        versions = entry["machine"]["versions"]
        used = f"PyTorch {versions['torch']}, transformers {versions['transformers']}"
        told.append(f"- **{part}**: {gpus}, {entry['measured'][:10]}, {used}, {entry['seconds']} s")
    return "\n".join([table(parts), "", *told])
