"""Layers whose activations a study stores, as far as sizes of its models are known."""

from __future__ import annotations

from layerscope.config.schema import Study
from layerscope.resources.sizes import ModelSize, Sizes


def states_of(study: Study, size: ModelSize) -> int:
    """Number of the layers of a model that are stored, embeddings included."""
    layers = study.activations.layers
    if isinstance(layers, list):
        return len(layers)
    return len(study.activations.stored(size.layers, "the model"))


def check_layers(study: Study, sizes: Sizes) -> None:
    """Stop where a layer to store is past the last one of a model whose size is known.

    Raises:
        UserError: it is; of other models the extraction says so.
    """
    for name, size in sizes.models.items():
        if not size.assumed:
            study.activations.stored(size.layers, f"models.{name}")
