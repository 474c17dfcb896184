"""What all tests share: the miniature study, run to its end once."""

from __future__ import annotations

import fcntl
import gc
import pickle
from pathlib import Path

import pytest
from running import MINIATURE, Finished, copy_workflow, options, plan, snakemake

#: Groups of tests that take long, in the order in which processes take them; then other slow tests.
LONG = ("miniature", "paper", "own-data", "audit", "slurm", "keep", "test_benchmarks_gpu", "crate")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, or in the end one process works while the others have nothing to do."""

    def place(item: pytest.Item) -> int:
        mark = item.get_closest_marker("xdist_group")
        if mark and mark.args[0] in LONG:
            return LONG.index(mark.args[0])
        return len(LONG) + (item.get_closest_marker("slow") is None)

    items.sort(key=place)


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """Let the collector pass over what there is so far: a training asks for a whole collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Finished:
    """Once, however many processes share the tests: the first makes it, others wait."""
    base = tmp_path_factory.getbasetemp()
    base = (base if worker_id == "master" else base.parent) / "finished"
    base.mkdir(exist_ok=True)
    record = base / "record.pickle"
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            record.write_bytes(pickle.dumps(_finish(base)))
    study: Finished = pickle.loads(record.read_bytes())  # noqa: S301
    return study


def _finish(base: Path) -> Finished:
    workflow = copy_workflow(base / "workflow")
    config = base / "miniature.yaml"
    config.write_bytes(MINIATURE.read_bytes())
    folder = base / "run"
    study = Finished(workflow, folder, config, "", plan(workflow, folder, config))
    result = snakemake(workflow, folder, *options(study), fork_server=True)
    assert result.returncode == 0, result.stdout + _logs(folder)
    return study._replace(output=result.stdout)


def _logs(folder: Path) -> str:
    """The end of each log of an error."""
    texts = {path: path.read_text() for path in sorted(folder.glob("logs/**/*.log"))}
    return "\n".join(
        f"--- {path.relative_to(folder)}\n{text[-2000:]}"
        for path, text in texts.items()
        if "error" in text.lower()
    )
