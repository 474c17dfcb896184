"""Findings of tables that are given as lists of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

Row = dict[str, Any]
#: Of a table without rows.
COLUMNS = [
    "percent",
    "metric",
    "model",
    "measure",
    "variant",
    "value",
    "low",
    "high",
    "holm",
    "view",
    "statistic",
    "placebo",
    "rows",
]


def frame(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=None if rows else COLUMNS)


def findings(find: Callable[..., list[str]], *arguments: Any) -> list[str]:
    """What a function finds in tables that are given as lists of rows."""
    return find(*(frame(each) if isinstance(each, list) else each for each in arguments))
