"""Letters that mean something to a shell or to Snakemake, in paths and in texts of a study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import MINIATURE, copy_workflow, read_config, snakemake, write_config

pytestmark = pytest.mark.slow

NOTE = "see {Smith2020}, {wildcards.x} and $(touch owned)"


@pytest.mark.parametrize("name", ["a checkout's", "layer;scope $HOME"])
def test_jobs_run_from_a_path_that_a_shell_would_take_apart(name: str, tmp_path: Path) -> None:
    workflow = copy_workflow(tmp_path / name)
    config = read_config(MINIATURE)
    config["models"]["bert-tiny"]["note"] = NOTE
    study = write_config(tmp_path / "the study.yaml", config)
    given = ("--configfile", study, "--cores", "1")
    kept = "results/miniature/config.json"
    result = snakemake(workflow, tmp_path / "in here", *given, kept)
    assert result.returncode == 0, result.stdout
    read = json.loads((tmp_path / "in here" / kept).read_text(encoding="utf-8"))
    assert read["models"]["bert-tiny"]["note"] == NOTE
    everything = snakemake(workflow, tmp_path / "in here", *given, "--dry-run", "--printshellcmds")
    assert everything.returncode == 0, everything.stdout
    assert NOTE in everything.stdout
    assert not list(tmp_path.rglob("owned"))


def test_a_path_with_braces_is_refused_in_one_line(tmp_path: Path) -> None:
    workflow = copy_workflow(tmp_path / "{layerscope}")
    result = snakemake(workflow, tmp_path / "run", "--dry-run", "--configfile", MINIATURE)
    assert result.returncode == 1
    assert "{layerscope}: Snakemake takes text in braces for a wildcard" in result.stdout
    assert "Traceback" not in result.stdout
