"""A comparison as text for a terminal: what is the same takes a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from layerscope.core.errors import printable
from layerscope.core.wording import counted
from layerscope.provenance.comparison.changes import Change, Tally, differs

SAME = "the same"
UNKNOWN = "not known: run records are missing"
#: Longest value of a setting, and most probes and measures of attention, that are printed.
WIDTH, MOST = 60, 10
#: Measures of attention that have a line; `--json` has all.
MEASURES = ("cosine", "jsd")
PROBES = ("task", "model", "variant", "probe", "view", "metric")
ATTENTION = ("task", "model", "variant", "measure")


def studies_in_words(found: Mapping[str, Any]) -> str:
    """The text of `compare_studies`."""
    lines = [_side(letter, found[letter.lower()]) for letter in "AB"]
    lines += ["", *_section("settings", _changes(found["settings"]))]
    lines += _section("raw data", _tally(found["raw"]))
    lines += _section("data", _tally(found["data"]))
    lines += _section("code", _code(found["code"], "rules"))
    lines += _section("versions", _changes(found["versions"]))
    lines += _section("machine", _machine(found["a"]["machines"], found["b"]["machines"]))
    lines += _section("products", _products(found["products"]))
    lines += _section("scores", _scores(found["scores"], found["statistics"]))
    lines += _section("probes", _inner(found["probes"], PROBES))
    lines += _section(
        "attention",
        _inner([row for row in found["attention"] if row["measure"] in MEASURES], ATTENTION),
    )
    return "\n".join(map(printable, lines))


def commits_in_words(found: Mapping[str, Any]) -> str:
    """The text of `compare_commits`."""
    lines = [f"{letter}  commit {found[letter.lower()]['commit']}" for letter in "AB"]
    code = _code(found["code"], "programs")
    if found["rules"]:
        code = [*code, *_wrapped("rules that rerun: ", found["rules"])]
    lines += ["", *_section("code", code)]
    lines += _section("rule files", _tally(found["rule_files"]))
    configurations = found["configurations"]
    settings: list[str] = []
    for name, each in configurations["changes"].items():
        settings += [name, *(f"  {line}" for line in _changes(each))]
    settings += [f"{name}: only in A" for name in configurations["only_a"]]
    settings += [f"{name}: only in B" for name in configurations["only_b"]]
    settings += [
        f"{name}: rejected by its own commit; compared as it is"
        for name in configurations["unresolved"]
    ]
    lines += _section("settings", settings or SAME)
    lines += _section("versions", _changes(found["versions"]))
    lines += _section("scores", "commits hold none: run both, then compare the folders")
    return "\n".join(map(printable, lines))


def _side(letter: str, side: Mapping[str, Any]) -> str:
    commits = ", ".join(_short(commit) for commit in side["commits"])
    jobs = f"{counted(side['jobs'], 'job')} of {commits}" if side["jobs"] else "no run records"
    bad = f"; {counted(side['bad_records'], 'unreadable record')}" if side["bad_records"] else ""
    return f"{letter}  {side['folder']}  ({jobs}{bad})"


def _short(commit: str) -> str:
    """`268a78078013 with edits` of the full name."""
    name, _, rest = commit.partition(" ")
    return f"{name[:12]} {rest}".strip()


def _section(title: str, content: str | Sequence[str]) -> list[str]:
    if isinstance(content, str):
        return [f"{title:<14}{content}"]
    return [title, *(f"  {line}" for line in content)]


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _changes(found: Sequence[Change] | None) -> str | list[str]:
    if found is None:
        return UNKNOWN
    if not found:
        return SAME
    rows = []
    for change in found:
        if "a" not in change:
            rows.append((change["key"], f"only in B: {_value(change['b'])}"))
        elif "b" not in change:
            rows.append((change["key"], f"only in A: {_value(change['a'])}"))
        else:
            rows.append((change["key"], f"{_value(change['a'])} -> {_value(change['b'])}"))
    return _table(rows)


def _tally(found: Tally | None) -> str | list[str]:
    if found is None:
        return UNKNOWN
    if not differs(found):
        return f"{SAME} ({len(found['same'])})"
    lines = _tally_lines(found)
    return [*lines, f"{SAME}: {len(found['same'])}"] if found["same"] else lines


def _tally_lines(found: Mapping[str, Sequence[str]]) -> list[str]:
    titles = {"different": "different: ", "only_a": "only in A: ", "only_b": "only in B: "}
    return [line for kind, title in titles.items() for line in _wrapped(title, found[kind])]


def _wrapped(title: str, names: Sequence[str], width: int = 96) -> list[str]:
    """Names after a title, as many as fit in a line."""
    lines: list[str] = []
    for name in names:
        if lines and len(lines[-1]) + len(name) + 2 <= width:
            lines[-1] += f", {name}"
        else:
            if lines:
                lines[-1] += ","
            lines.append((" " * len(title) if lines else title) + name)
    return lines


def _code(found: Mapping[str, Any] | None, what: str) -> str | list[str]:
    """Modules that differ; those of the same rules or programs together."""
    if found is None:
        return UNKNOWN
    endings = {"different": "", "only_a": " (only in A)", "only_b": " (only in B)"}
    users: dict[str, list[str]] = {}
    for name, modules in found["different"].items():
        for kind, ending in endings.items():
            for module in modules[kind]:
                users.setdefault(module + ending, []).append(name)
    alike: dict[tuple[str, ...], list[str]] = {}
    for module in sorted(users):
        alike.setdefault(tuple(users[module]), []).append(module)
    every = len(found["different"]) + len(found["same"])
    lines = []
    for names, modules in sorted(alike.items(), key=lambda item: (-len(item[0]), item[0])):
        lines += _wrapped("", modules)
        if len(names) == every > 1:
            lines.append(f"  in all {every} {what}")
        else:
            lines += _wrapped(f"  in {what}: ", names)
    lines += _tally_lines({"different": [], "only_a": found["only_a"], "only_b": found["only_b"]})
    return lines or f"{SAME} ({len(found['same'])} {what})"


def _machine(a: Sequence[str], b: Sequence[str]) -> str:
    if not (a and b):
        return UNKNOWN
    return SAME if a == b else f"{', '.join(a)} -> {', '.join(b)}"


def _products(found: Mapping[str, Tally]) -> str | list[str]:
    if not any(differs(each) for each in found.values()):
        return f"the same bytes ({sum(len(each['same']) for each in found.values())})"
    kinds = ("same", "different", "only_a", "only_b")
    rows: list[tuple[str, ...]] = [("", "same", "different", "only in A", "only in B")]
    rows += [
        (name, *(str(len(each[kind])) for kind in kinds))
        for name, each in found.items()
        if differs(each)
    ]
    same = [name for name, each in found.items() if not differs(each)]
    return [*_table(rows, numbers=range(1, 5)), *_wrapped("all the same: ", same)]


def _scores(found: Mapping[str, Any], statistics: Mapping[str, Any]) -> str | list[str]:
    moved = [row for row in found["rows"] if any(row[end] for end in ("difference", "low", "high"))]
    same = len(found["rows"]) - len(moved)
    lines: list[str] = []
    if moved:
        percent = f"{100 * statistics['confidence']:g} % interval"
        rows: list[tuple[str, ...]] = [
            ("task", "model", "%", "metric", "A", "B", "B - A", percent, "drawn", "seeds")
        ]
        rows += [
            (
                row["task"],
                row["model"],
                str(row["percent"]),
                row["metric"],
                f"{row['a']:.4f}",
                f"{row['b']:.4f}",
                f"{row['difference']:+.4f}",
                f"[{row['low']:+.4f}, {row['high']:+.4f}]" + (" *" if row["excludes_0"] else "  "),
                row["how"],
                _seeds(row),
            )
            for row in moved
        ]
        lines += _table(rows, numbers=(2, 4, 5, 6))
        starred = any(row["excludes_0"] for row in moved)
        lines.append("* the interval excludes 0" if starred else "no interval excludes 0")
    lines += _tally_lines({"different": [], **found})
    if not lines:
        return f"{SAME} ({same})" if same else "none in either"
    return [*lines, f"{SAME}: {counted(same, 'row')}"] if same else lines


def _seeds(row: Mapping[str, Any]) -> str:
    a, b = (" ".join(map(str, row[name])) for name in ("seeds_a", "seeds_b"))
    return a if a == b else f"{a} -> {b}"


def _inner(found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str | list[str]:
    """What changed most. For probes, the best layer too."""
    both = [row for row in found if "a" in row and "b" in row]
    moved = [row for row in both if _shown(row, "a") != _shown(row, "b")]
    moved.sort(key=lambda row: -abs(row["b"] - row["a"]))
    most = [
        (*(row[name] for name in names), f"{_shown(row, 'a')} -> {_shown(row, 'b')}")
        for row in moved[:MOST]
    ]
    lines = _table(most) if most else []
    if len(moved) > MOST:
        lines.append(f"and {len(moved) - MOST} more that changed less")
    for side, title in (("a", "A"), ("b", "B")):
        alone = sum(side in row for row in found) - len(both)
        lines += [f"only in {title}: {counted(alone, 'row')}"] if alone else []
    same = len(both) - len(moved)
    if not lines:
        return f"{SAME} ({same})" if same else "none in either"
    return [*lines, f"{SAME}: {counted(same, 'row')}"] if same else lines


def _shown(row: Mapping[str, Any], side: str) -> str:
    layer = f" (layer {row[f'layer_{side}']})" if f"layer_{side}" in row else ""
    return f"{row[side]:.4f}{layer}"


def _table(rows: Sequence[Sequence[str]], numbers: Iterable[int] = ()) -> list[str]:
    """Aligned columns; those of `numbers` to the right."""
    right = set(numbers)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
