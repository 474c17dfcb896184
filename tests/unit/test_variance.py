"""What trainings vary by: from files of planted results, and the error rate of differences."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_tables import rows as rows_of
from synthetic_tables import run_program
from test_scoring import CLASSES, write_nli

from layerscope.config.load import read_yaml, validate
from layerscope.config.relations import training_repeats
from layerscope.core.formats import read_table, write_table
from layerscope.core.formats.probe_predictions import Answers, write_probe_predictions
from layerscope.core.table_files import Drawn
from layerscope.evaluation.variance import Measured, component_rows, difference_row
from layerscope.figures import variance as figure
from layerscope.summary.variance import variance_findings

ROOT = Path(__file__).parents[2]


def write_probe(path: Path, layers: list[float], seed: int) -> None:
    """Answers of a probe of all rows and of two draws; `layers`: how often each is right."""
    rng, size = np.random.default_rng(seed), 400
    labels = np.random.default_rng(0).integers(3, size=size)
    names = [f"e{i}" for i in range(size)]
    keys = {"example_id": names, "group_id": names, "label": [CLASSES[code] for code in labels]}
    answers = []
    for draw in (0, 1, 2):
        wrong = (labels + 1)[:, None] % 3
        codes = np.where(rng.random((size, len(layers))) < layers, labels[:, None], wrong)
        answers.append(Answers(("validation", "joint", 0, draw), codes.astype(np.int16)))
    about = {"labels": CLASSES, "kind_of_task": "nli"}
    write_probe_predictions(path, keys, answers, len(layers), about)


def write_training(folder: Path, model: str, sample: int, effect: float) -> dict[str, Path]:
    """Results of one training: its score, probe, attention and CKA are higher by `effect`."""
    variant = f"f50-s{sample}"
    predictions = write_nli(folder / "predictions" / "t" / model, variant, 0.6 + effect, sample)
    probe = folder / "probes" / "t" / model / variant / "linear.predictions.parquet"
    write_probe(probe, [0.4, 0.5, 0.6 + effect], sample)
    attention = folder / "attention" / "t" / model / f"{variant}.parquet"
    write_table(
        attention,
        "attention",
        [
            {"example_id": f"e{i}", "layer": layer, "head": 0, "measure": measure,
             "value": 0.2 + effect + 0.01 * i + 0.1 * layer}
            for i in range(3) for layer in (1, 2) for measure in ("jsd", "cosine")
        ],
    )  # fmt: skip
    similarity = folder / "similarity" / "t" / model / f"{variant}.parquet"
    rows = [{"view": "joint", "layer": layer, "measure": "cka", "value": 0.9 - effect * layer}
            for layer in (0, 1, 2)]  # fmt: skip
    write_table(similarity, "similarity", rows)
    return {"predictions": predictions, "probes": probe, "attention": attention,
            "similarity": similarity}  # fmt: skip


def test_tables_from_files_of_four_trainings_of_two_models(tmp_path: Path) -> None:
    groups = [["a1", "a2"], ["b1", "b2"]]
    inputs = [
        f"{name}={path}"
        for at, group in enumerate(groups)
        for training, model in enumerate(group)
        for sample in (1, 2)
        for name, path in write_training(
            tmp_path, model, sample, 0.1 * at + 0.02 * training + 0.01 * sample
        ).items()
    ]
    settings = {"resamples": 100, "confidence": 0.95, "seed": 0, "groups": groups}
    out = {name: tmp_path / f"{name}.parquet" for name in ("variance", "variance-differences")}
    run_program("make_table", "evaluation.variance", "--inputs", *inputs, "--settings",
                json.dumps(settings), "--out", *(f"{n}={p}" for n, p in out.items()))  # fmt: skip
    rows = read_table(out["variance"], "variance-table").to_pandas()
    assert list(rows["measure"].unique()) == [
        "score", "linear probe, joint view: score of the last layer",
        "linear probe, joint view: depth of the best layer", "attention JSD",
        "joint view: CKA with the pre-trained model",
    ]  # fmt: skip
    found = rows.set_index(["model", "measure", "source"])["value"].sort_index()
    # Effects of seed and sample add up: without a residual, components are exact.
    jsd = found["a1", "attention JSD"]
    assert jsd["training seed"] == pytest.approx(0.02 / np.sqrt(2), rel=1e-4)
    assert jsd["training sample"] == pytest.approx(0.01 / np.sqrt(2), rel=1e-4)
    assert jsd["interaction"] == pytest.approx(0, abs=1e-6)
    assert jsd["one training"] == pytest.approx(np.hypot(0.02, 0.01) / np.sqrt(2), rel=1e-4)
    assert jsd["test examples"] == pytest.approx(0.01 / np.sqrt(3), rel=1e-4)
    assert np.isnan(found["b1", "joint view: CKA with the pre-trained model", "test examples"])
    # The answers of two samples are drawn apart; with both training seeds they are nearly the same.
    score = rows[(rows["model"] == "a1") & (rows["measure"] == "score")].set_index("source")
    p = score["mean"].iloc[0]
    assert score.loc["test examples", "value"] == pytest.approx(
        np.sqrt(p * (1 - p) / 400 / 2), rel=0.1
    )
    depth = rows[rows["measure"].str.endswith("best layer")]
    assert (depth["mean"] == 1).all()
    far = read_table(out["variance-differences"], "variance-differences-table").to_pandas()
    far = far.set_index("measure")
    assert (far["model"] + far["other"] == "a1b1").all()
    assert far.loc["attention JSD", "value"] == pytest.approx(0.1, rel=1e-4)
    cka = far.loc["joint view: CKA with the pre-trained model"]
    assert (cka["not_drawn"], np.isnan(cka["p_corrected"])) == ("test examples", True)
    assert far["not_drawn"].notna().sum() == 1


def measured(rng: np.random.Generator, effect: float = 0.0, rows: float = 0.04) -> Measured:
    """Seeds, samples and cells vary by 1, examples by a quarter, and rows, of four draws."""
    values = rng.normal(size=(4, 1)) + rng.normal(size=4) + rng.normal(size=(4, 4)) + effect
    values += rng.normal() * np.sqrt(0.25 + rows)
    return Measured(values, 0.25, rows * rng.chisquare(3) / 3, 4)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0.04, 4.0])
def test_equal_models_differ_in_at_most_one_test_of_twenty(rows: float) -> None:
    rng = np.random.default_rng(0)
    sides = [(measured(rng, rows=rows), measured(rng, rows=rows)) for _ in range(150)]
    found = [difference_row(*pair, 0.95) for pair in sides]
    assert np.mean([row["p"] <= 0.05 for row in found]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 150)
    assert all((row["low"] <= 0 <= row["high"]) == (row["p"] >= 0.05) for row in found)
    # One training of each, with its own seed and sample, exceeds `chance` in one case of twenty.
    alone = np.sqrt(3) * (rng.normal(size=150) - rng.normal(size=150))
    beyond = np.abs(alone) > [row["chance"] for row in found]
    assert np.mean(beyond) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 150)


def test_a_large_difference_is_found_and_its_parts_named() -> None:
    rng = np.random.default_rng(1)
    one, other = measured(rng), measured(rng, 12)
    row = difference_row(one, other, 0.95)
    assert row["p"] < 0.01
    known = {"task": "t", "measure": "score"}
    rows = [{**known, "model": "a", **each} for each in component_rows(one, 0.95)]
    apart = [{**known, "model": "a", "other": "b", "p_corrected": row["p"], **row}]
    scores, beyond, *_ = variance_findings(pd.DataFrame(rows), pd.DataFrame(apart))
    assert scores.startswith("The score of a has a standard deviation of ")
    assert "(4 training seeds, each on 4 samples)" in scores
    assert "b and a differ in 1 of 1 measures: score (" in beyond
    few = pd.DataFrame(rows).assign(trainings=2)
    assert variance_findings(few, pd.DataFrame(apart)) == [
        "Nothing is said of variance with fewer than 3 training seeds and 3 samples: see the "
        "figures."
    ]


def test_the_figure_has_a_panel_for_each_measure(made_tables: dict[str, Path]) -> None:
    rows, apart = (
        rows_of(made_tables, name, "one-nli") for name in ("variance", "variance-differences")
    )
    drawn = figure.draw(rows, apart)
    titles = [axes.get_title(loc="left") for axes in drawn.axes]
    assert titles == [m.replace(" view: ", " view:\n") for m in rows["measure"].unique()]
    labels = [text.get_text() for text in drawn.axes[0].get_yticklabels()]
    assert labels == [*figure.SOURCES.values(), figure.APART]


def test_models_that_differ_in_their_training_seed_alone_are_one_trained_again() -> None:
    config: dict[str, Any] = read_yaml(ROOT / "config" / "variance.yaml")
    study = validate(config)
    own = [f"minilm-{number}" for number in range(1, 5)]
    further = [f"minilm-hpo-{number}" for number in range(1, 5)]
    assert training_repeats(study) == [own, further]
    models = config["models"]
    for alone in ({"percentages": [0, 100]}, {"seeds": [1]}):  # one sample
        grid = {**config["variants"], **alone}
        assert training_repeats(validate({**config, "variants": grid})) == []
    models["minilm-2"] = {**models["minilm-2"], "training_seed": None}
    slower = {"nli": {"learning_rate": 1.0e-5}}
    models["minilm-3"] = {**models["minilm-3"], "finetuning": slower}
    assert training_repeats(validate(config)) == [["minilm-1", "minilm-4"], further]


def test_a_measure_that_a_model_does_not_have_is_left_out(tmp_path: Path) -> None:
    """A model without attention, alone: nothing to compare it with."""
    inputs = []
    for model, sample in itertools.product(("a1", "a2"), (1, 2)):
        files = write_training(tmp_path, model, sample, 0.01 * sample)
        write_table(files["attention"], "attention", [])
        inputs += [f"{name}={path}" for name, path in files.items()]
    settings = {"resamples": 100, "confidence": 0.95, "seed": 0, "groups": [["a1", "a2"]]}
    out = {name: tmp_path / f"{name}.parquet" for name in ("variance", "variance-differences")}
    run_program("make_table", "evaluation.variance", "--inputs", *inputs, "--settings",
                json.dumps(settings), "--out", *(f"{n}={p}" for n, p in out.items()))  # fmt: skip
    rows = read_table(out["variance"], "variance-table").to_pandas()
    apart = read_table(out["variance-differences"], "variance-differences-table").to_pandas()
    assert "attention JSD" not in set(rows["measure"])
    assert len(apart) == 0
    drawn = figure.figure(Drawn({name: [str(path)] for name, path in out.items()}, "t"))
    assert len(drawn.axes) == rows["measure"].nunique()
