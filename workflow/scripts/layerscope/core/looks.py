"""How models and metrics look wherever they are shown: names, colours, markers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

#: Okabe and Ito (2008), the darker ones first, and black for a further model.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A800",
)  # fmt: skip

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


METRICS = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "entity_f1": "Entity F1",
    "token_macro_f1": "Token macro F1",
    "accuracy_standardised": "Accuracy,\nstandardised",
    "selectivity": "Selectivity",
    "compression": "Compression",
    "usable_information": "Usable bits",
    "cka": "Debiased CKA",
    "mutual_knn": "Mutual k-NN",
    "procrustes": "Procrustes",
    "dataset_entropy": "Entropy",
    "prompt_entropy": "Entropy",
    "effective_rank": "Effective rank",
    "curvature": "Curvature (°)",
    "invariance": "Invariance",
    "anisotropy": "Mean cosine",
    "anisotropy_centred": "Centred cosine",
}


class Look(NamedTuple):
    """How a model is drawn in every figure."""

    colour: str
    marker: str


def looks(models: Sequence[str]) -> dict[str, Look]:
    """Colour and marker of each model, by its place; no two of the first 64 have both the same."""
    return {
        model: Look(COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)])
        for i, model in enumerate(models)
    }
