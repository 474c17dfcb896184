"""Findings on the head lens: from where on answers are the model's, beyond those of the control."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from layerscope.summary.head_lens import first_layers, head_lens_findings


def rows(model: str, tuned: Sequence[Sequence[float]], control: float) -> pd.DataFrame:
    """Agreement by seed and layer; the control's is the same everywhere."""
    found: list[dict[str, object]] = []
    for seed, values in enumerate(tuned):
        known = {"task": "t", "model": model, "seed": seed}
        found.append({**known, "lens": "none", "metric": "accuracy", "value": 0.7})
        for layer, value in enumerate(values):
            at = known | {"layer": layer, "depth": layer / (len(values) - 1)}
            found += [
                {**at, "lens": lens, "metric": "agreement", "value": agreement}
                for lens, agreement in (("tuned", value), ("shuffled", control), ("plain", 0.1))
            ]
            found.append({**at, "lens": "tuned", "metric": "accuracy", "value": 0.0})
    return pd.DataFrame(found)


def test_the_first_layer_is_the_one_that_no_later_one_falls_short_of() -> None:
    """0.95 is short of nine tenths of the way from 0.6 to 1, which is 0.96."""
    tuned = [(0.6, 0.97, 0.95, 0.97, 1), (0.6, 0.7, 0.8, 0.95, 1), (0.97, 0.97, 0.97, 0.97, 1)]
    agreement = rows("bert", tuned, 0.6)
    agreement = agreement[agreement["metric"] == "agreement"]
    assert first_layers(agreement).tolist() == [3, 4, 0]


def test_layers_are_named_with_their_range_over_seeds() -> None:
    both = pd.concat(
        [
            rows("bert", [(0.6, 0.7, 1), (0.6, 0.97, 1), (0.6, 0.98, 1)], 0.6),
            rows("gpt", [(0.999, 1, 1)] * 3, 0.999),
        ]
    )
    named, alike, caution = head_lens_findings(both)
    assert named == (
        "In bert, the tuned lens gives at least 90 % of the model's answers beyond the control's "
        "from layer 1.3 of 2 on (mean over 3 seeds, which range from 1 to 2; depth 0.67)."
    )
    assert alike.endswith("which the control gives too: gpt.")
    assert "does not mean that the model has decided there" in caution


def test_nothing_is_said_with_few_seeds_or_without_layers() -> None:
    (few,) = head_lens_findings(rows("bert", [(0.6, 1), (0.6, 1)], 0.6))
    assert few == "Nothing is said of layers with fewer than 3 seeds: see the figures."
    given = rows("bert", [(0.6, 1)] * 3, 0.6)
    assert head_lens_findings(given[given["lens"] == "none"]) == []
