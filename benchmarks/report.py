"""Write the tables of docs/performance.md and docs/gpu.md from benchmarks/results.

They stand between two marker lines.

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

from gpu.table import page as gpu_page

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


def short(value: float) -> str:
    """Three digits, or all of a large number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def middle(value: Any) -> float:
    """The median, or the number itself."""
    return float(value["median"] if isinstance(value, Mapping) else value)


def goals(results: Sequence[Found], reasons: Mapping[str, str]) -> str:
    """One line a stage: goal, whether it was reached, and why not more."""
    rows = []
    for each in results:
        reached = each["reached"]
        verdict = ("yes" if reached else "no") if isinstance(reached, bool) else short(reached)
        reason = reasons.get(each["stage"]) or each.get("notes", "")
        rows.append([each["stage"], each["goal"], verdict, reason])
    return table(["stage", "goal", "reached", "reason"], rows)


def medians(results: Sequence[Found], entry: str, head: Sequence[str]) -> str:
    """One line a number of `ratios` or `limit`."""
    rows = [
        [each["stage"], name, short(middle(value))]
        for each in results
        for name, value in each[entry].items()
    ]
    return table(["stage", *head], rows)


def rates(results: Sequence[Found]) -> str:
    """One line a stage and way: how fast it was."""
    rows = [
        [each["stage"], name, short(middle(way["rate"])), way["unit"]]
        for each in results
        for name, way in each["ways"].items()
    ]
    return table(["stage", "way", "rate", "unit"], rows)


def spreads(results: Sequence[Found]) -> str:
    """The lowest and the highest of each number that was measured more than once."""
    rows = []
    for each in results:
        ways = {f"{name}, {way['unit']}": way["rate"] for name, way in each["ways"].items()}
        shares = {f"{name}, of the limit": value for name, value in each["limit"].items()}
        ratios = {f"{name}, times": value for name, value in each["ratios"].items()}
        for name, value in {**ratios, **shares, **ways}.items():
            if isinstance(value, Mapping) and value["low"] != value["high"]:
                ends = [short(value[end]) for end in ("low", "median", "high")]
                rows.append([each["stage"], name, *ends])
    return table(["stage", "what", "lowest", "median", "highest"], rows)


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
    """The machine and its limits in the run of each stage."""
    names = list(dict.fromkeys(name for each in results for name in each.get("machine limits", {})))
    rows = []
    for each in results:
        facts, limits = each.get("machine", {}), each.get("machine limits", {})
        known = [short(middle(limits[name])) if name in limits else "" for name in names]
        named = f"{facts.get('processor', '')}, {facts.get('cores', '?')} cores"
        rows.append([each["stage"], named, *known, each.get("measured", "")])
    return table(["stage", "machine", *names, "measured"], rows)


def prediction(found: Found) -> str:
    """What the published study would take, by predict.py."""
    names = [assumed["name"] for assumed in found["assumed"]]
    parts = {part for each in found["parts"].values() for part in each}
    rows = [
        [place, *(f"{each[name] / 60:,.0f} minutes" for name in names)]
        for place, each in found["places"].items()
    ]
    rows += [
        [f"all jobs of `{part}`, one after the other"]
        + [f"{found['parts'][name][part] / 3600:,.1f} hours" for name in names]
        for part in sorted(parts)
    ]
    assumed = [
        f"- **{each['name']}**: {each['training']:.0%} of the peak in training, "
        f"{each['inference']:.0%} in passes without gradients, at least "
        f"{1000 * each['step']:.1f} ms a layer and step and {1000 * each['batch']:.1f} ms a layer "
        "and batch."
        for each in found["assumed"]
    ]
    probes = [
        [name, *(f"{found['probes'][width][name]:,.1f}" for width in found["probes"])]
        for name in next(iter(found["probes"].values()))
    ]
    return "\n\n".join(
        [
            f"{found['jobs']} jobs that take long; GPUs as assumed:",
            "\n".join(assumed),
            table(["", *names], rows),
            "Seconds of a layer of each probe on one core, measured, by width of the model "
            "(`bilstm-crf`: training words a second):",
            table(["", *(f"{width} wide" for width in found["probes"])], probes),
        ]
    )


def growth(found: Found) -> str:
    """Exponents of growth.py."""
    rows = [
        [
            axis,
            f"{each['sizes'][0]:,} to {each['sizes'][-1]:,}",
            f"{each['exponent of time']:.2f}",
            f"{each['exponent of memory']:.2f}",
            " to ".join(f"{each['points'][end]['mb']['median']:,.0f}" for end in (0, -1)),
        ]
        for axis, each in found["axes"].items()
    ]
    return table(["", "from, to", "exponent of time", "exponent of memory", "MB"], rows)


def page(
    results: Sequence[Found], reasons: Mapping[str, str], others: Mapping[str, Found] | None = None
) -> str:
    """All tables; `others` are the results of growth.py and predict.py, by the file's name."""
    shapes = "\n".join(f"- **{each['stage']}**: {each['shape']}" for each in results)
    parts = {
        "Goals": goals(results, reasons),
        "How many times as fast": medians(results, "ratios", ["ways", "times"]),
        "Share of the machine's limit": medians(results, "limit", ["way", "share"]),
        "What was measured": shapes,
        "Rates": rates(results),
        "Spread": spreads(results),
        "Equality, checked before speed": equality(results),
        "Machine": machines(results),
    }
    others = others or {}
    if "growth" in others:
        parts["How time and memory of extraction grow"] = growth(others["growth"])
    if "prediction" in others:
        parts["The published study, one seed: a prediction"] = prediction(others["prediction"])
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
    parser.add_argument("--gpu-page", type=Path, default=HERE.parent / "docs" / "gpu.md")
    parser.add_argument("--reasons", type=Path, default=HERE / "reasons.json")
    chosen = parser.parse_args()
    reasons = {}
    if chosen.reasons.is_file():
        reasons = json.loads(chosen.reasons.read_text(encoding="utf-8"))
    document = chosen.page.read_text(encoding="utf-8") if chosen.page.is_file() else NEW
    others = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(chosen.results.glob("*.json"))
        if path.stem in ("growth", "prediction")
    }
    written = replaced(document, page(read_results(chosen.results), reasons, others))
    chosen.page.write_text(written, encoding="utf-8")
    measured = chosen.results / "gpu.json"
    parts = json.loads(measured.read_text(encoding="utf-8")) if measured.is_file() else {}
    document = replaced(chosen.gpu_page.read_text(encoding="utf-8"), gpu_page(parts))
    chosen.gpu_page.write_text(document, encoding="utf-8")


if __name__ == "__main__":
    main()
