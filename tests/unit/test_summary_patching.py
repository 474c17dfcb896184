"""Findings on single layers that are exchanged, over seeds and all layers at once."""

from __future__ import annotations

import numpy as np
import pandas as pd

from layerscope.core.formats import SCHEMAS
from layerscope.summary.intervals import over_seeds
from layerscope.summary.patching import patching_findings


def rows(seeds: int = 3, noise: float = 0.002) -> pd.DataFrame:
    """Of two models with layers 0 to 3: in `bert` layers 2 and 3 matter, 2 most; in `gpt` none."""
    rng, found = np.random.default_rng(1), []
    for model, owed in (("bert", (0, 0, 0.3, 0.1)), ("gpt", (0, 0, 0, 0))):
        for seed in range(seeds):
            for direction, sign in (("into-finetuned", -1), ("into-pretrained", 0.5)):
                for layer, size in enumerate(owed):
                    change = sign * size + noise * rng.standard_normal()
                    known = {"model": model, "seed": seed, "direction": direction, "layer": layer}
                    every = dict.fromkeys(SCHEMAS["patching-table"]) | known
                    found += [
                        every | {"patch": patch, "metric": "accuracy", "change": each}
                        for patch, each in (("one-layer", change), ("up-to-layer", -0.9))
                    ]
    return pd.DataFrame(found)


def test_the_layer_that_matters_most_is_named_with_an_interval_for_all_layers() -> None:
    table = rows()
    back, idle, put, still, note = patching_findings(table, "accuracy", 0.95)
    own = table[(table["model"] == "bert") & (table["patch"] == "one-layer")]
    costs = -own[(own["layer"] == 2) & (own["direction"] == "into-finetuned")]["change"]
    assert back == (
        "In bert, putting one layer back to its weights before fine-tuning lowers the score at 2 "
        f"of 4 layers (from 0, the embeddings), on average most at layer 2: by "
        f"{over_seeds(costs, 1 - 0.05 / 4)}."
    )
    assert idle == (
        "Putting one layer back to its weights before fine-tuning lowers the score significantly "
        "at no layer: gpt."
    )
    assert put.startswith("In bert, putting one fine-tuned layer into the model before it raises ")
    assert "on average most at layer 2: by 0.15" in put
    assert still.endswith("significantly at no layer: gpt.")
    assert note.startswith("Each of these intervals holds for all layers")


def test_noise_and_few_seeds_allow_no_claim() -> None:
    back, put, _ = patching_findings(rows(noise=0.3), "accuracy", 0.95)
    assert (back.split(": ")[1], put.split(": ")[1]) == ("bert and gpt.", "bert and gpt.")
    (few,) = patching_findings(rows(seeds=2), "accuracy", 0.95)
    assert few == "Nothing is said of single layers with fewer than 3 seeds: see the figures."
    assert patching_findings(rows(), "macro_f1", 0.95) == []
