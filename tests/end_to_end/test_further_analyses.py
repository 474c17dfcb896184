"""Analyses that the miniature study leaves out, of one model on one task."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from miniature import MODELS, TUNED, VARIANTS, distinct
from running import Finished, copy_finished, options, read_config, snakemake, write_config

from layerscope.core.formats import read_table
from layerscope.core.formats.pointwise import PointwiseFile

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keep")]

TASK, MODEL, VIEW = "hpo-ner", "gpt-tiny", "word"
ANALYSES = ("representation_quality", "usable_information")


@pytest.fixture(scope="module")
def more(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the study with parts of the tables of both."""
    folder = tmp_path_factory.mktemp("further") / "run"
    copy_finished(finished, folder)
    config = read_config(finished.config) | {"analyses": {}}
    study = finished._replace(folder=folder, config=write_config(folder / "more.yaml", config))
    parts = [f"results/miniature/parts/{name}/{TASK}/{MODEL}.parquet" for name in ANALYSES]
    result = snakemake(study.workflow, folder, *options(study), "--", *parts, fork_server=True)
    assert result.returncode == 0, result.stdout
    return folder / "results" / "miniature"


def test_representations_are_described_before_and_after_fine_tuning(more: Path) -> None:
    """Of every layer, with random weights too."""
    part = more / "parts" / "representation_quality" / TASK / f"{MODEL}.parquet"
    rows = read_table(part, "representation_quality-table").to_pylist()
    measures = {"dataset_entropy", "prompt_entropy", "effective_rank", "curvature", "invariance"}
    assert distinct(rows, "variant", "layer", "measure") == {
        *itertools.product({"pretrained", "random-s0", *TUNED}, range(MODELS[MODEL] + 1), measures)
    }
    for row in rows:
        value, measure = row["value"], row["measure"]
        if "entropy" in measure:
            assert 0 <= value <= 1 + 1e-9, row
        elif measure == "effective_rank":
            assert 1 <= value <= row["texts"], row
        elif measure == "curvature":
            assert 0 < value < 180, row
        else:
            assert -1 < value < 1.5, row
        assert (row["low"] is None) == (measure in ("dataset_entropy", "effective_rank")), row


def test_usable_information_is_the_mean_of_the_bits_of_each_test_row(more: Path) -> None:
    part = more / "parts" / "usable_information" / TASK / f"{MODEL}.parquet"
    rows = read_table(part, "usable_information-table").to_pylist()
    variants = (*VARIANTS, "random", "f50")
    families, layers = ("linear", "mlp"), range(MODELS[MODEL] + 1)
    assert distinct(rows, "variant", "view", "family", "layer") == {
        *itertools.product(variants, (VIEW,), families, layers)
    }
    for row in rows:
        assert row["low"] <= row["value"] <= row["high"], row
        assert (row["gain"] is not None) == (row["percent"] > 0)
        if row["variant"] not in VARIANTS or row["layer"]:
            continue
        folder = more / "usable_information" / TASK / MODEL
        file = PointwiseFile(folder / f"{row['variant']}.pointwise.parquet")
        block = file.block((VIEW, row["family"]))
        assert row["value"] == pytest.approx(block.bits[:, 0].mean(dtype=np.float64), abs=1e-6)
        test = more / "activations" / TASK / MODEL / row["variant"]
        keys = pq.read_table(test / VIEW / "test.parquet", columns=["example_id"])
        assert block.keys["example_id"] == keys["example_id"].to_pylist()
