"""The scale of heads: planted heads that stayed, were replaced, were shuffled; closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from synthetic_tables import records

from layerscope.analysis.heads import MEASURES, head_rows, relative_change
from layerscope.extraction.attention import layer_measures

Row = dict[str, Any]
LAYERS, HEADS, EXAMPLES, TOKENS = 2, 6, 5, 9
PROPERTIES = {"entropy": 2.0, "distance": 3.0, "special": 0.4, "first": 0.3}


def row(variant: str, measure: str, value: float, at: tuple[int, int] = (1, 0), **more: Any) -> Row:
    percent, seed = (0, None) if variant == "pretrained" else variant[1:].split("-s")
    return {
        "task": "t", "model": "m", "variant": variant, "percent": int(percent),
        "seed": seed and int(seed), "layer": at[0], "head": at[1], "measure": measure,
        "value": value, "low": value - 0.01, "high": value + 0.02,
    } | more  # fmt: skip


def maps(seed: int) -> np.ndarray:
    """Layers x examples x heads x tokens x tokens, far from each other."""
    rng = np.random.default_rng(seed)
    made = rng.gamma(0.2, size=(LAYERS, EXAMPLES, HEADS, TOKENS, TOKENS)) + 1e-9
    return made / made.sum(axis=-1, keepdims=True)


def rows_of(before: np.ndarray, after: np.ndarray, other: np.ndarray | None) -> list[Row]:
    """Rows of the table of attention of one variant, as the stage would measure these maps."""
    real = torch.ones(EXAMPLES, TOKENS)
    found = []
    for layer in range(LAYERS):
        three = [
            None if m is None else torch.tensor(m[layer]).float() for m in (after, before, other)
        ]
        assert three[0] is not None
        measured = layer_measures(three[0], real, torch.zeros_like(real), three[1], three[2])
        found += [
            row("f100-s2", name, values.mean(dim=0)[head].item(), (layer + 1, head))
            for name, values in measured.items()
            for head in range(HEADS)
        ]
    return found


def tabled(rows: list[Row]) -> list[Row]:
    return records(head_rows(pd.DataFrame(rows)))


def by_place(rows: list[Row]) -> dict[tuple[int, int], Row]:
    found = {(each["layer"], each["head"]): each for each in tabled(rows)}
    assert len(found) == LAYERS * HEADS
    return found


def test_planted_heads_are_at_their_places() -> None:
    before, other = maps(0), maps(1)
    after = before.copy()
    after[0, :, 2] = other[0, :, 2]  # replaced by a map that has nothing to do with it
    after[1, :, 3] = (3 * before[1, :, 3] + other[1, :, 3]) / 4  # a part of the way
    found = by_place(rows_of(before, after, after))  # a further seed does the same
    assert found[1, 2]["moved"] == pytest.approx(1, abs=0.1)
    assert 0.05 < found[2, 3]["moved"] < 0.4
    assert (found[1, 2]["rank"], found[2, 3]["rank"]) == (1, 2)
    rest = [each["moved"] for place, each in found.items() if place not in ((1, 2), (2, 3))]
    assert rest == pytest.approx([0] * len(rest), abs=1e-6)


def test_what_seeds_do_not_agree_on_is_no_move() -> None:
    before = maps(0)
    one, other = ((7 * before + maps(seed)) / 8 for seed in (1, 2))
    alone = by_place(rows_of(before, one, None))
    together = by_place(rows_of(before, one, other))
    assert min(each["moved"] for each in alone.values()) > 0.02
    assert max(each["moved"] for each in together.values()) == 0


def test_shuffled_heads_are_at_one() -> None:
    before = maps(0)
    after = before[:, :, [3, 5, 4, 1, 0, 2]]  # no head stays, and none comes to its neighbour
    found = tabled(rows_of(before, after, None))
    assert np.mean([each["moved"] for each in found]) == pytest.approx(1, abs=0.1)
    assert {each["ceiling"] for each in found} == {None}


def test_the_place_in_closed_form() -> None:
    nan = np.nan
    cases = pd.DataFrame(
        [(0.1, 0.1, 0.5, 0), (0.5, 0.1, 0.5, 1), (0.2, 0.1, 0.5, 0.25), (0.02, 0.1, 0.5, 0),
         (0.3, 0.0, 0.2, 1), (0.3, 0.2, 0.2, nan), (0.3, 0.2, 0.1, nan), (0.3, 0.2, nan, nan),
         (nan, 0.1, 0.5, nan)],
        columns=["jsd", "ceiling", "null", "place"],
    )  # fmt: skip
    places = relative_change(cases["jsd"], cases["ceiling"], cases["null"])
    np.testing.assert_allclose(places, cases["place"])


def test_equal_heads_are_ranked_in_their_order() -> None:
    values = {(2, 0): 0.5, (1, 1): 0.2, (1, 0): 0.5, (1, 2): 0.9}
    found = tabled([row("f10-s1", "jsd", value, place) for place, value in values.items()])
    ranks = [(each["layer"], each["head"], each["rank"]) for each in found]
    assert ranks == [(1, 0, 2), (1, 1, 4), (1, 2, 1), (2, 0, 3)]


def test_a_variant_has_the_ceiling_of_all_seeds_of_its_fraction_and_what_it_was_before() -> None:
    rows = [row("pretrained", name, value) for name, value in PROPERTIES.items()]
    for variant, jsd, ceiling in (
        ("f10-s1", 0.1, None), ("f10-s2", 0.1, 0.06), ("f10-s3", 0.1, 0.04), ("f100-s1", 0.2, None),
    ):  # fmt: skip
        rows += [row(variant, name, value + 1) for name, value in PROPERTIES.items()]
        rows += [row(variant, "jsd", jsd), row(variant, "jsd_null_sentence", 0.4)]
        rows += [row(variant, "jsd_null_head", null, (1, h)) for h, null in enumerate((0.2, 0.3))]
        rows += [row(variant, "cosine", 0.9)]
        rows += [] if ceiling is None else [row(variant, "jsd_ceiling", ceiling)]
    found = {each["variant"]: each for each in tabled(rows)}
    assert list(found) == ["f10-s1", "f10-s2", "f10-s3", "f100-s1"]
    for seed in (1, 2, 3):
        each = found[f"f10-s{seed}"]
        ends = (each["ceiling"], each["ceiling_low"], each["ceiling_high"])
        assert ends == pytest.approx((0.05, 0.04, 0.07))
        assert each["null"] == pytest.approx(0.25)
        assert each["null_sentence"] == 0.4
        place = (each["moved"], each["moved_low"], each["moved_high"])
        assert place == pytest.approx((0.05 / 0.2, 0.04 / 0.2, 0.07 / 0.2))
    alone = found["f100-s1"]
    assert alone["ceiling"] is None
    assert alone["moved"] == pytest.approx(0.2 / 0.25)
    for name, value in PROPERTIES.items():
        assert alone[name] == value + 1
        assert alone[f"{name}_before"] == value


def test_models_are_kept_apart_and_what_is_not_needed_is_left_out() -> None:
    rows = [
        row("f100-s2", measure, value, model=model)
        for model, jsd in (("a", 0.1), ("b", 0.3))
        for measure, value in (("jsd", jsd), ("jsd_ceiling", jsd / 10), ("jsd_null_head", 0.5))
    ]
    found = {each["model"]: each for each in tabled(rows)}
    assert (found["a"]["ceiling"], found["b"]["ceiling"]) == pytest.approx((0.01, 0.03))
    assert found["a"]["rank"] == found["b"]["rank"] == 1
    assert found["a"]["entropy_before"] is None
    assert tabled([row("pretrained", "entropy", 2.0)]) == []
    assert "cosine" not in MEASURES
