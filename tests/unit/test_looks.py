"""Looks of models and training fractions, and the measures that are drawn in scatters."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb

from layerscope.core.looks import looks
from layerscope.core.measures import chosen_measures
from layerscope.figures.style import percent_looks


def test_models_look_different_and_keep_their_looks() -> None:
    names = [f"m{i}" for i in range(8)]
    found = looks(names)
    assert len({look.colour for look in found.values()}) == 8
    assert len({look.marker for look in found.values()}) == 8
    assert looks(names[:3]) == {name: found[name] for name in names[:3]}


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
