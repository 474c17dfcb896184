"""Grids of heads by layer, as two figures draw them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from layerscope.figures import attention, heads

Row = dict[str, Any]


def test_attention_grid_averages_seeds_and_keeps_gaps() -> None:
    def row(layer: int, head: int, value: float) -> Row:
        return {"measure": "jsd", "layer": layer, "head": head, "value": value}

    made = pd.DataFrame([row(1, 0, 0.2), row(1, 0, 0.4), row(3, 1, 0.5)])
    grid = attention.grid_of(made)
    assert grid.columns.tolist() == [1, 2, 3]
    np.testing.assert_allclose(grid, [[0.3, np.nan, np.nan], [np.nan, np.nan, 0.5]])
    assert attention.grid_of(made[:0]).empty


def test_heads_without_a_scale_are_left_out_and_dots_need_every_seed() -> None:
    def row(seed: int, head: int, low: float, ceiling: float | None, moved: float | None) -> Row:
        return {"model": "m", "percent": 100, "seed": seed, "layer": 1, "head": head,
                "moved": moved, "jsd_low": low, "ceiling_high": ceiling}  # fmt: skip

    made = [
        row(1, 0, 0.3, 0.1, 0.2), row(2, 0, 0.3, 0.1, 0.4),
        row(1, 1, 0.3, 0.1, 0.5), row(2, 1, 0.05, 0.1, 0.0),
        row(1, 2, 0.3, None, None), row(2, 2, 0.3, None, None),
    ]  # fmt: skip
    table = pd.DataFrame(made)
    table["beyond"] = heads.beyond_seeds(table)
    np.testing.assert_allclose(attention.grid_of(table, "moved")[1], [0.3, 0.25, np.nan])
    assert (attention.grid_of(table, "beyond")[1] == 1).tolist() == [True, False, False]
