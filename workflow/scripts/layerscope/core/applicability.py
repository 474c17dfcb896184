"""What a model cannot give, and why: kept in the description of a file, and gathered in tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from layerscope.core.formats import file_metadata

#: Entry of a file's description: reason by analysis. In a table it is by task and model.
NOT_APPLICABLE = "not_applicable"

Reasons = dict[str, str]


def described(reasons: Mapping[str, str]) -> dict[str, Any]:
    """The entry of a file's description; none if everything is applicable."""
    return {NOT_APPLICABLE: dict(reasons)} if reasons else {}


def reasons_of(path: str | Path, kind: str) -> Reasons:
    """Reasons by analysis that are not in a file of one variant."""
    found: Reasons = file_metadata(path, kind).get(NOT_APPLICABLE, {})
    return found


def gathered(files: Iterable[tuple[str, str, Reasons]]) -> dict[str, Any]:
    """The entry of a table's description, from task, model and reasons of each of its files."""
    found: dict[str, dict[str, Reasons]] = {}
    for task, model, reasons in files:
        if reasons:
            found.setdefault(task, {}).setdefault(model, {}).update(reasons)
    return {NOT_APPLICABLE: found} if found else {}


def gathered_from(paths: Iterable[str | Path], kind: str) -> dict[str, Any]:
    """The same, from files …/{task}/{model}/{variant}.parquet of a kind."""
    places = [Path(path).parts for path in paths]
    reasons = [reasons_of(path, kind) for path in paths]
    return gathered((at[-3], at[-2], own) for at, own in zip(places, reasons, strict=True))


def merged(descriptions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The entry of a table that is joined from others, from their descriptions."""
    return gathered(
        (task, model, reasons)
        for each in descriptions
        for task, models in each.get(NOT_APPLICABLE, {}).items()
        for model, reasons in models.items()
    )


def without(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description without the entry."""
    return {name: value for name, value in description.items() if name != NOT_APPLICABLE}


def missing_models(description: Mapping[str, Any], task: str | None) -> dict[str, Reasons]:
    """Reasons by model of one task, from the description of a table."""
    found: dict[str, Reasons] = description.get(NOT_APPLICABLE, {}).get(task, {})
    return found


def rows_of(descriptions: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What is missing in tables: task, model, analysis and reason of each, from descriptions."""
    return [
        {"task": task, "model": model, "analysis": analysis, "reason": reason}
        for task, models in merged(descriptions).get(NOT_APPLICABLE, {}).items()
        for model, reasons in models.items()
        for analysis, reason in reasons.items()
    ]


def sentences(rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """What is missing, from rows as of `rows_of`: a line for each model and analysis."""
    lines: dict[str, list[str]] = {}
    for row in rows:
        line = f"{row['model']}: {row['analysis']} not applicable ({row['reason']})"
        lines.setdefault(line, []).append(row["task"])
    yield from (f"{line}, on {', '.join(tasks)}" for line, tasks in lines.items())
