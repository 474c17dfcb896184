"""Notebooks as tests run them: the code of their cells, in order, in this process."""

from __future__ import annotations

import json
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt
from running import ROOT

FOLDER = ROOT / "notebooks"


def read(name: str) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return notebook


def run(name: str, **values: Any) -> dict[str, Any]:
    """What the code of a notebook leaves, run in its folder with other values of its first cell."""
    mpl.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(FOLDER)
        for number, cell in enumerate(c for c in read(name)["cells"] if c["cell_type"] == "code"):
            exec(compile("".join(cell["source"]), f"{name}, code cell {number}", "exec"), names)  # noqa: S102
            if number == 0:
                assert values.keys() <= names.keys()
                names |= values
    plt.close("all")
    return names
