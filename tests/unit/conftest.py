"""What several test files share: tiny models, made once, and a hub; and a process for each file."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub import Hub
    from tiny_models import Tiny


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file stay in one process, or each process would make what they share."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


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


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tiny]:
    """Replicas of the four published models."""
    import replicas
    import tiny_models

    return {
        kind: tiny_models.read(
            replicas.make_replica(kind, tmp_path_factory.mktemp(kind)),
            replicas.ARCHITECTURES[kind],
        )
        for kind in replicas.KINDS
    }


@pytest.fixture(scope="session", params=["bert", "biobert", "gpt2", "biogpt"])
def replica(request: pytest.FixtureRequest, published: dict[str, Tiny]) -> Tiny:
    """Each of the four in turn."""
    return published[request.param]


@pytest.fixture(scope="session")
def made_tables(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Path]:
    """Tables by name of a made-up study of two models, made once for all processes of the tests."""
    import synthetic_tables

    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "made-tables"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "tables.json").exists():
            made = synthetic_tables.make_tables(folder)
            (folder / "tables.json").write_text(json.dumps(made, default=str))
    found = json.loads((folder / "tables.json").read_text())
    return {name: Path(path) for name, path in found.items()}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub with a model and a data set."""
    import fetching

    with fetching.publishing(tmp_path / "hub") as hub:
        yield hub
