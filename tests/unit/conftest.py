"""Tiny models that several test files share, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tiny_models import Tiny


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A BERT."""
    import tiny_models

    folder = tmp_path_factory.mktemp("encoder")
    return tiny_models.read(tiny_models.save_encoder(folder), "encoder")


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A GPT-2."""
    import tiny_models

    folder = tmp_path_factory.mktemp("decoder")
    return tiny_models.read(tiny_models.save_decoder(folder), "decoder")


@pytest.fixture(scope="session")
def biogpt(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A BioGPT."""
    import tiny_models

    folder = tmp_path_factory.mktemp("biogpt")
    return tiny_models.read(tiny_models.save_biogpt(folder), "decoder")


@pytest.fixture(params=["encoder", "decoder", "biogpt"])
def tiny(request: pytest.FixtureRequest) -> Tiny:
    """Each of the three in turn."""
    found: Tiny = request.getfixturevalue(request.param)
    return found
