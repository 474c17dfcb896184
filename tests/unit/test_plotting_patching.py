"""The figure of exchanged layers shows the means of the table, in the panel that they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from layerscope.core.formats import SCHEMAS
from layerscope.figures import patching

LAST = {"bert": 2, "gpt": 3}


def rows(last: dict[str, int] = LAST) -> pd.DataFrame:
    """Of two seeds; each change is another number, and macro F1 is left out of the figure."""
    found: list[dict[str, Any]] = []
    for model, blocks in last.items():
        for seed in (1, 2):
            patches: list[dict[str, Any]] = [
                {"patch": patch, "direction": direction, "layer": layer, "depth": layer / blocks}
                for direction in ("into-finetuned", "into-pretrained")
                for patch in ("one-layer", "up-to-layer")
                for layer in range(blocks + 1)
            ]
            patches += [{"patch": "line", "weight": at} for at in (0.0, 0.5, 1.0)]
            for patch in patches:
                known = dict.fromkeys(SCHEMAS["patching-table"]) | patch
                known |= {"model": model, "seed": seed, "task": "t"}
                change = np.sin(len(found))
                found.append(known | {"metric": "accuracy", "change": change})
                found.append(known | {"metric": "macro_f1", "change": 9.0})
    return pd.DataFrame(found)


def test_each_panel_has_the_means_of_its_patches() -> None:
    table = rows()
    own = table[(table["model"] == "gpt") & (table["metric"] == "accuracy")]
    figure = patching.draw(table, {"albert": {"one layer patched": "shared"}})
    assert len(figure.axes) == 6

    def mean(**known: object) -> list[float]:
        found = own[np.logical_and.reduce([own[name] == value for name, value in known.items()])]
        by = "weight" if known["patch"] == "line" else "layer"
        return list(found.groupby(by)["change"].mean())

    panels = np.asarray(figure.axes).reshape(2, 3)
    for line, direction in zip(panels, ("into-finetuned", "into-pretrained"), strict=True):
        for axes, patch in zip(line, ("one-layer", "up-to-layer"), strict=False):
            drawn = [list(each.get_ydata()) for each in axes.lines]
            assert pytest.approx(mean(patch=patch, direction=direction)) in drawn
            assert [0, 0] in drawn
        low, high = line[0].get_ylim()
        values = own.loc[own["direction"].isin([direction, None]), "change"]
        assert low < values.min() < values.max() < high
        whole = mean(patch="up-to-layer", direction=direction)[-1]
        assert pytest.approx([whole]) in [list(each.get_ydata()) for each in line[0].lines]
    assert pytest.approx(mean(patch="line")) in [list(e.get_ydata()) for e in panels[0, 2].lines]
    assert not panels[1, 2].lines
    (legend,) = figure.legends
    assert "albert: one layer patched not applicable" in [t.get_text() for t in legend.get_texts()]


def test_many_models_are_folded_and_none_is_said() -> None:
    figure = patching.draw(rows({f"m{number}": 1 for number in range(9)}))
    assert len(figure.subfigs) == 2
    nothing = patching.draw(rows().iloc[:0])
    assert nothing.texts[0].get_text().startswith("No model whose layers can be exchanged")
