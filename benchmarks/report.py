"""Write the tables of docs/performance.md from benchmarks/results: all between two marker lines.

    python benchmarks/report.py

Text outside of the markers stays. A reason why a goal is not reached is kept by stage in
benchmarks/reasons.json, where it is written by hand; without one the stage's own notes stand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
#: In this order; others come after.
ORDER = (
    "activations", "cache", "attention", "svm", "crf", "linear", "finetuning", "dag", "demo",
)  # fmt: skip
NEW = f"""# Performance

`make bench` measures all of this anew, `python benchmarks/report.py` writes the tables.

{BEGIN}
{END}
"""

Found = Mapping[str, Any]


def read_results(folder: Path) -> list[Found]:
    """What the stages found, in the order of the workflow."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    stages = [each for each in found if isinstance(each, dict) and "stage" in each]
    return sorted(stages, key=lambda each: (*ORDER, each["stage"]).index(each["stage"]))


def spread(value: Any, unit: str = "") -> str:
    """A median with the lowest and highest, or a number."""
    if isinstance(value, Mapping):
        low, high = value["low"], value["high"]
        if low != high:
            return f"{short(value['median'])}{unit} ({short(low)} to {short(high)})"
        value = value["median"]
    return f"{short(value)}{unit}"


def short(value: float) -> str:
    """Three digits, or all of a large number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def goals(results: Sequence[Found], reasons: Mapping[str, str]) -> str:
    """One line a stage: goal, what was reached with its spread, and why not more."""
    rows = []
    for each in results:
        reached = each["reached"]
        verdict = ("yes" if reached else "no") if isinstance(reached, bool) else short(reached)
        ratios = [f"{name}: {spread(value, ' x')}" for name, value in each["ratios"].items()]
        limits = [f"{name}: {spread(value)}" for name, value in each["limit"].items()]
        reason = reasons.get(each["stage"]) or each.get("notes", "")
        rows.append([each["stage"], each["goal"], verdict, "; ".join(ratios + limits), reason])
    return table(["stage", "goal", "reached", "measured: median (low to high)", "reason"], rows)


def ways(results: Sequence[Found]) -> str:
    """One line a stage and way: what was measured, how fast it was."""
    rows = [
        [
            each["stage"],
            name,
            spread(way["rate"], f" {way['unit']}"),
            f"{short(min(way['seconds']))} to {short(max(way['seconds']))}",
        ]
        for each in results
        for name, way in each["ways"].items()
    ]
    return table(["stage", "way", "rate", "seconds"], rows)


def equality(results: Sequence[Found]) -> str:
    """One line a comparison of results."""
    rows = [
        [each["stage"], name, f"{seen['largest difference']:.2g}", f"{seen['tolerance']:g}"]
        for each in results
        for name, seen in each["equal"].items()
        if isinstance(seen, Mapping) and "largest difference" in seen
    ]
    return table(["stage", "compared", "largest difference", "tolerance"], rows)


def machines(results: Sequence[Found]) -> str:
    """The machine and its limits beside each stage."""
    rows = []
    for each in results:
        facts, limits = each.get("machine", {}), each.get("machine limits", {})
        known = ", ".join(f"{name}: {spread(value)}" for name, value in limits.items())
        named = f"{facts.get('processor', '')}, {facts.get('cores', '?')} cores"
        rows.append([each["stage"], named, known, each.get("measured", "")])
    return table(["stage", "machine", "its limits in the same run", "measured"], rows)


def page(results: Sequence[Found], reasons: Mapping[str, str]) -> str:
    """All tables."""
    shapes = "\n".join(f"- **{each['stage']}**: {each['shape']}" for each in results)
    parts = {
        "Goals": goals(results, reasons),
        "What was measured": shapes,
        "Rates": ways(results),
        "Equality, checked before speed": equality(results),
        "Machine": machines(results),
    }
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in parts.items())


def replaced(document: str, tables: str) -> str:
    """A document with everything between its markers replaced.

    Raises:
        ValueError: it does not have both markers, once and in this order.
    """
    before, found, rest = document.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not (found and found_end) or BEGIN in rest or END in after:
        raise ValueError(f"allowed: one line {BEGIN!r}, and one line {END!r} after it")
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def main() -> None:
    """Read results, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "performance.md")
    parser.add_argument("--reasons", type=Path, default=HERE / "reasons.json")
    chosen = parser.parse_args()
    reasons = {}
    if chosen.reasons.is_file():
        reasons = json.loads(chosen.reasons.read_text(encoding="utf-8"))
    document = chosen.page.read_text(encoding="utf-8") if chosen.page.is_file() else NEW
    written = replaced(document, page(read_results(chosen.results), reasons))
    chosen.page.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
