"""What differs between two mappings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Change = dict[str, Any]  # `key`, and `a` and `b` as far as they have it
Tally = dict[str, list[str]]


def changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    """Every setting that differs, by dotted key; what one side alone has counts as one.

    Returns:
        `key` with `a` and `b`, sorted by key; a side that lacks the key is left out.
    """
    found: list[Change] = []
    for key in sorted({*a, *b}):
        if key not in a:
            found.append({"key": key, "b": b[key]})
        elif key not in b:
            found.append({"key": key, "a": a[key]})
        elif isinstance(a[key], Mapping) and isinstance(b[key], Mapping):
            found += [
                {**change, "key": f"{key}.{change['key']}"} for change in changes(a[key], b[key])
            ]
        elif a[key] != b[key]:
            found.append({"key": key, "a": a[key], "b": b[key]})
    return found


def tally(a: Mapping[str, Any], b: Mapping[str, Any]) -> Tally:
    """Names by whether both have the same under them: `same`, `different`, `only_a`, `only_b`."""
    return {
        "same": sorted(name for name in a.keys() & b.keys() if a[name] == b[name]),
        "different": sorted(name for name in a.keys() & b.keys() if a[name] != b[name]),
        "only_a": sorted(a.keys() - b.keys()),
        "only_b": sorted(b.keys() - a.keys()),
    }


def compare_code(
    a: Mapping[str, Mapping[str, Any]], b: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Modules that differ, by rule or program.

    Args:
        a, b: digests of modules by rule or program.

    Returns:
        `different`: the modules of each that differs, as `tally` without `same`; `same`, `only_a`
        and `only_b`: names of rules or programs.
    """
    found: dict[str, Any] = tally(a, b)
    modules = {name: tally(a[name], b[name]) for name in found["different"]}
    found["different"] = {
        name: {kind: names for kind, names in each.items() if kind != "same"}
        for name, each in modules.items()
    }
    return found


def differs(found: Tally) -> bool:
    """Whether a tally has anything that is not the same in both."""
    return any(names for kind, names in found.items() if kind != "same")
