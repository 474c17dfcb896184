"""Differences between two settings in words, as `explain` and audits print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layerscope.core.files import canonical_json


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two values, each in words: `training.steps 4 -> 5`, `models.x added`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        found = []
        for key in sorted({*before, *now}):
            inner = f"{name}.{key}" if name else str(key)
            if key not in before:
                found.append(f"{inner} added{_value(now[key])}")
            elif key not in now:
                found.append(f"{inner} removed")
            else:
                found += differences(before[key], now[key], inner)
        return found
    if canonical_json(before) == canonical_json(now):
        return []
    return [f"{name} {_shown(before)} -> {_shown(now)}"]


def _value(value: Any) -> str:
    return "" if isinstance(value, Mapping) or value is True else f" ({_shown(value)})"


def _shown(value: Any) -> str:
    text = "unset" if value is None else value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
