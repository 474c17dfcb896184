"""Which views a study is summed up by."""

from __future__ import annotations

from typing import get_args

import pandas as pd
import pytest

from layerscope.config.extraction import View
from layerscope.core.encodings import main_views, of_main_views
from layerscope.extraction.activations import POOLING
from layerscope.figures.inputs import INPUTS


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        (["separate", "joint"], ["separate", "joint"]),
        (
            ["separate", "premise", "hypothesis", "combined", "joint", "joint-last"],
            ["separate", "premise", "hypothesis", "joint"],
        ),
        (["joint-last", "joint", "joint"], ["joint"]),
        (["separate", "joint-last"], ["separate", "joint-last"]),
        (["separate-last", "premise-last", "combined-last"], ["separate-last", "premise-last"]),
        (["text", "text-last"], ["text"]),
        (["word", "word-last"], ["word"]),
        (["word-last"], ["word-last"]),
        ([], []),
    ],
)
def test_a_mean_stands_before_its_last_sub_word_and_nothing_is_summed_up_twice(
    views: list[str], expected: list[str]
) -> None:
    assert main_views(views) == expected
    rows = pd.DataFrame({"view": [view for view in views for _ in range(2)]}, dtype="str")
    assert list(of_main_views(rows)["view"]) == [
        view for view in views for _ in range(2) if view in expected
    ]


def test_every_view_is_explained_and_drawn() -> None:
    assert set(POOLING) == set(get_args(View))
    parts = {
        f"{part}{end}" for part in ("premise", "hypothesis", "combined") for end in ("", "-last")
    }
    assert set(INPUTS) == set(get_args(View)) | parts
