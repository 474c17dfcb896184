"""`snakemake clean` and `remove_leftovers`: some of the finished miniature is not asked for now."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Finished, copy_finished, read_config, snakemake, write_config

pytestmark = pytest.mark.slow


def test_figures_of_an_analysis_that_is_turned_off_are_removed(
    finished: Finished, tmp_path: Path
) -> None:
    """And its table, once the summary is made again without it."""
    folder = tmp_path / "run"
    copy_finished(finished, folder)
    config = read_config(finished.config)
    config["analyses"] = config.get("analyses", {}) | {"heads": False}
    given = ("--cores", "1", "--configfile", write_config(tmp_path / "less.yaml", config))
    before = {str(path.relative_to(folder)) for path in (folder / "results").rglob("*")}
    listed = snakemake(finished.workflow, folder, "clean", *given)
    assert "results/miniature/figures/heads-hpo-nli.svg" in listed.stdout, listed.stdout
    assert before == {str(path.relative_to(folder)) for path in (folder / "results").rglob("*")}
    result = snakemake(finished.workflow, folder, "remove_leftovers", *given)
    assert result.returncode == 0, result.stdout
    gone = before - {str(path.relative_to(folder)) for path in (folder / "results").rglob("*")}
    figures = [f"figures/heads-{task}" for task in ("hpo-nli", "hpo-ner")]
    expected = {f"{figure}.{ending}" for figure in figures for ending in ("svg", "pdf", "png")}
    expected |= {f"{figure}.svg.run.json" for figure in figures}
    expected |= {f"benchmarks/figure_heads-{task}.tsv" for task in ("hpo-nli", "hpo-ner")}
    assert gone == {f"results/miniature/{path}" for path in expected}
