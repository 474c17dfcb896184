"""The miniature study, run to its end once for all tests that look at it."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import MINIATURE, Finished, copy_workflow, options, plan, snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    base = tmp_path_factory.mktemp("miniature")
    workflow = copy_workflow(base / "workflow")
    config = base / "miniature.yaml"
    config.write_bytes(MINIATURE.read_bytes())
    folder = base / "run"
    study = Finished(workflow, folder, config, "", plan(workflow, folder, config))
    result = snakemake(workflow, folder, *options(study), warm=True)
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
