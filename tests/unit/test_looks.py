"""Looks of models and training fractions, and the measures that are drawn in scatters."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from layerscope.core.looks import looks
from layerscope.core.measures import chosen_measures
from layerscope.figures import cross_model_similarity, weight_change
from layerscope.figures.style import bands, folded, percent_looks, share_y


def test_models_look_different_and_keep_their_looks() -> None:
    names = [f"m{i}" for i in range(8)]
    found = looks(names)
    assert len({look.colour for look in found.values()}) == 8
    assert len({look.marker for look in found.values()}) == 8
    assert looks(names[:3]) == {name: found[name] for name in names[:3]}
    assert len(set(looks([f"m{i}" for i in range(64)]).values())) == 64


def test_many_models_fold_into_bands_of_one_scale() -> None:
    groups = folded([f"m{i}" for i in range(11)], 5)
    assert groups == [[f"m{i}" for i in range(4 * k, min(4 * k + 4, 11))] for k in range(3)]
    figure, found = bands(groups, (7.0, 2.0), 2)
    share_y([band.grid for band in found], ["a", "b"])
    assert len(figure.axes) == 2 * 11
    found[0].grid[0, 0].set_ylim(0, 7)
    assert {axes.get_ylim() for band in found for axes in band.grid[0]} == {(0, 7)}
    assert found[2].grid[1, 2].get_ylim() != (0, 7)
    assert figure.get_size_inches().tolist() == [7.0, 2.0 + 2 * 1.7]


def test_lines_of_many_models_have_one_scale_in_all_bands() -> None:
    """Half of the models change a hundred times more than the others."""
    rows = pd.DataFrame(
        {"model": f"m{model}", "measure": measure, "matrices": matrices, "percent": percent,
         "seed": 1, "depth": depth, "value": depth * (1 if model < 5 else 100)}
        for model in range(10)
        for measure, matrices in weight_change.PANELS
        for percent in (10, 100)
        for depth in (0.0, 0.5, 1.0)
    )  # fmt: skip
    panels = weight_change.draw(rows).axes
    assert len(panels) == 2 * 5 * 2
    ((low, high),) = {axes.get_ylim() for axes in panels}
    assert low == 0
    assert high > 100


def test_more_pairs_than_looks_are_strips_by_similarity() -> None:
    models = [f"m{i}" for i in range(5)]
    rows = pd.DataFrame(
        {"model": model, "other": other, "view": "word", "percent": 0, "seed": 1,
         "measure": measure, "depth": depth,
         "value": 0.1 * (number if measure == "cka" else 4) + 0.01 * depth}
        for measure in ("cka", "mutual_knn")
        for number, (model, other) in enumerate(itertools.combinations(models, 2))
        for depth in (0.0, 0.5, 1.0)
    )  # fmt: skip
    panel, further, _ = cross_model_similarity.draw(rows).axes
    assert further.get_title() == "Mutual k-NN\npre-trained"
    names = [text.get_text() for text in panel.get_yticklabels()]
    assert names == [", ".join(pair) for pair in reversed([*itertools.combinations(models, 2)])]
    drawn = panel.images[0].get_array()
    assert drawn[0, [0, -1]].tolist() == pytest.approx([0.9, 0.91])
    assert (
        cross_model_similarity.draw(rows[rows["model"] != "m0"]).axes[0].lines
    )  # six: a line each


def _luminance(colour: str) -> float:
    channels = np.asarray(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_fractions_darken_and_stand_out_from_white() -> None:
    """Order shows without colour vision: luminance falls; contrast to white is at least 2 to 1."""
    found = percent_looks([100, 10, 50, 30])
    assert list(found) == [10, 30, 50, 100]
    light = [_luminance(look.colour) for look in found.values()]
    assert light == sorted(light, reverse=True)
    assert min(np.diff(light[::-1])) > 0.02
    assert 1.05 / (light[0] + 0.05) > 2


def test_scatters_prefer_the_linear_probe_of_the_joint_view() -> None:
    kinds = ("best layer", "mean of layers", "gain of best layer", "depth")
    names = [
        f"{probe}: {kind}"
        for probe in ("svm probe, joint view", "linear probe, separate view",
                      "linear probe, joint view")
        for kind in kinds
    ]  # fmt: skip
    names += ["attention cosine", "attention JSD"]
    assert chosen_measures(names) == [
        "linear probe, joint view: best layer",
        "linear probe, joint view: gain of best layer",
        "linear probe, joint view: depth",
        "attention cosine",
        "attention JSD",
    ]
    assert chosen_measures(["svm probe, x view: depth"]) == ["svm probe, x view: depth"]
