"""Causal checks are made of the largest share alone, and not at all where they are turned off."""

from __future__ import annotations

import copy
from pathlib import Path

from running import MINIATURE, ROOT, count, plan, read_config, write_config

RULES = {"intervene", "part_interventions", "table_interventions", "figure_interventions"}


def test_they_vanish_with_all_that_shows_them(tmp_path: Path) -> None:
    config = copy.deepcopy(read_config(MINIATURE))
    config["variants"] = {"percentages": [0, 10, 50], "seeds": [1, 2, 3]}
    with_them = plan(ROOT, tmp_path / "on", write_config(tmp_path / "on.yaml", config))
    config["interventions"] = None
    without = plan(ROOT, tmp_path / "off", write_config(tmp_path / "off.yaml", config))
    on, off = count(with_them), count(without)
    assert set(on) - set(off) == RULES
    assert {rule: number for rule, number in on.items() if rule not in RULES} == off
    (summary,) = [job for job in without if job.rule == "summary"]
    assert "tables/interventions" not in summary.command
    (summary,) = [job for job in with_them if job.rule == "summary"]
    assert "results/miniature/tables/interventions.parquet" in summary.inputs


def test_models_of_the_largest_share_are_looked_at(tmp_path: Path) -> None:
    config = copy.deepcopy(read_config(MINIATURE))
    config["variants"] = {"percentages": [0, 10, 50], "seeds": [1, 2, 3]}
    jobs = plan(ROOT, tmp_path / "run", write_config(tmp_path / "study.yaml", config))
    found = [job for job in jobs if job.rule == "intervene"]
    assert len(found) == len(config["tasks"]) * len(config["models"]) * 3
    assert {job.of("variant") for job in found} == {"f50-s1", "f50-s2", "f50-s3"}
    for job in found:
        assert f"results/miniature/finetuned/{job.of('task')}/{job.of('model')}" in " ".join(
            job.inputs
        )
