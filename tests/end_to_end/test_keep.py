"""Activations that do not stay: gone once probes have read them, made again if one must run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from running import Finished, copy_finished, options, plan, read_config, snakemake, write_config

from layerscope.core.files import sha256_file
from layerscope.provenance.audit import whole
from layerscope.provenance.present import Code
from layerscope.provenance.studies import read_study
from layerscope.run_records.content import ENDING

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keep")]

PART = ("hpo-nli", "gpt-tiny")
VARIANT = "random-s0"


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != ".snakemake_timestamp"
        and not path.name.endswith(ENDING)
        and not {"benchmarks", "activations"} & set(path.parts)
    }


def test_temporary_activations_give_the_same_results_and_go(
    finished: Finished, tmp_path: Path
) -> None:
    """A variant that goes under `before-and-after`, made again; those that stay are still there."""
    folder = tmp_path / "run"
    copy_finished(finished, folder, shutil.copy2)
    config = read_config(finished.config)
    config["variants"]["percentages"] = [0, 50]
    config["activations"] = {"keep": "before-and-after"}
    study = finished._replace(folder=folder, config=write_config(tmp_path / "study.yaml", config))
    results = folder / "results" / "miniature"
    # What is kept is no reason to run anything, but the record of the configuration.
    assert {job.rule for job in plan(study.workflow, folder, study.config)} <= {
        "configuration",
        "all",
    }
    expected = _digests(results)
    for kind in ("activations", "probes"):
        shutil.rmtree(results.joinpath(kind, *PART, VARIANT))
    # Missing files in the middle are no reason to run anything: they have to be asked for.
    wanted = [
        f"results/miniature/probes/hpo-nli/gpt-tiny/{VARIANT}/{probe}.parquet"
        for probe in ("linear", "svm")
    ]
    result = snakemake(study.workflow, folder, *options(study), "--", *wanted, fork_server=True)
    assert result.returncode == 0, result.stdout
    left = {path.name for path in results.joinpath("activations", *PART).iterdir() if path.is_dir()}
    assert left == {"pretrained", "f50-s1", "f50-s2"}  # not the random one
    rest = snakemake(study.workflow, folder, *options(study), fork_server=True)
    assert rest.returncode == 0, rest.stdout
    found = _digests(results)
    assert [path for path in expected if found[path] != expected[path]] == ["config.json"]
    assert set(found) == set(expected)
    assert plan(study.workflow, folder, study.config) == set()
    # What went as it should is not missing; parts of tables, which had not to be made again, are
    # older than the probes that were.
    code = Code(study.workflow / "workflow" / "scripts", None)
    seen = whole(read_study(folder, "miniature"), code)
    gone = f"results/miniature/activations/{'/'.join(PART)}/{VARIANT}"
    assert seen.parts[gone].entry["temporary"]
    assert {finding.kind for finding in seen.findings} <= {"older"}
