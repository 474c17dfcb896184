"""Scores with intervals, against seqeval, scikit-learn and known sampling distributions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forking import run_program
from seqeval.metrics import f1_score as seqeval_f1
from sklearn.metrics import confusion_matrix

from layerscope.config.statistics import Statistics
from layerscope.core.errors import UserError
from layerscope.core.formats import write_table
from layerscope.evaluation.prediction_files import Predictions, read_predictions
from layerscope.evaluation.scoring import confusion, score

CLASSES = ["entailment", "neutral", "contradiction"]
TAGS = ["O", "B-DNA", "I-DNA", "B-RNA", "I-RNA"]
SETTINGS = Statistics(resamples=400)
PROGRAM = Path(__file__).parents[2] / "workflow" / "scripts" / "score.py"


def write(
    path: Path,
    columns: dict[str, list[Any]],
    kind: str,
    variant: str,
    task: str = "t",
    model: str = "m",
) -> Path:
    names = CLASSES if kind == "nli" else TAGS
    size = len(columns["label"])
    rows = {
        "word_index": [0] * size,
        "group_id": columns["example_id"],
        "probabilities": [[1.0] * len(names)] * size,
        **columns,
    }
    described = {
        "task": task,
        "model": model,
        "variant": variant,
        "kind_of_task": kind,
        "labels": names,
    }
    write_table(path, "predictions", rows, described)
    return path


def write_nli(folder: Path, variant: str, right: float, seed: int, size: int = 400) -> Path:
    """Predictions that are right with a given probability; labels are the same in every file."""
    labels = np.random.default_rng(0).integers(3, size=size)
    rng = np.random.default_rng(seed)
    wrong = (labels + rng.integers(1, 3, size=size)) % 3
    predicted = np.where(rng.random(size) < right, labels, wrong)
    columns: dict[str, list[Any]] = {
        "example_id": [f"e{i}" for i in range(size)],
        "label": [CLASSES[c] for c in labels],
        "predicted": [CLASSES[c] for c in predicted],
    }
    return write(folder / f"{variant}.parquet", columns, "nli", variant)


def scores(paths: list[Path], settings: Statistics = SETTINGS) -> dict[tuple[str, str], Any]:
    result = score([read_predictions(path) for path in paths], settings)
    return {(row["variant"], row["metric"]): row for row in result["scores"]}


def test_nli_value_interval_and_mean_over_seeds(tmp_path: Path) -> None:
    paths = [
        write_nli(tmp_path, "f100-s2", 0.8, 2),
        write_nli(tmp_path, "f100-s1", 0.7, 1),
        write_nli(tmp_path, "f10-s1", 0.5, 3),
    ]
    found = scores(paths)
    assert [key for key in found if key[1] == "accuracy"] == [
        ("f10-s1", "accuracy"),
        ("f100-s1", "accuracy"),
        ("f100-s2", "accuracy"),
        ("f100", "accuracy"),
    ]
    one, two, mean = (found[v, "accuracy"] for v in ("f100-s1", "f100-s2", "f100"))
    columns = read_predictions(paths[1]).columns
    accuracy = np.mean(np.asarray(columns["label"]) == np.asarray(columns["predicted"]))
    assert one["value"] == pytest.approx(accuracy)
    # The percentile interval of a share is close to the normal one.
    half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / 400)
    assert one["low"] == pytest.approx(accuracy - half, abs=0.01)
    assert one["high"] == pytest.approx(accuracy + half, abs=0.01)
    assert mean["value"] == pytest.approx((one["value"] + two["value"]) / 2)
    assert (mean["percent"], mean["seed"]) == (100, None)
    # Seeds differ by 0.1, and with two of them that is nearly all that is known.
    assert mean["high"] - mean["low"] > 3 * (one["high"] - one["low"])


def test_a_variant_does_not_depend_on_which_others_are_there(tmp_path: Path) -> None:
    paths = [write_nli(tmp_path, f"f100-s{seed}", 0.7, seed) for seed in (1, 2, 3)]
    alone = scores(paths[1:2])
    assert alone["f100-s2", "accuracy"] == scores(paths)["f100-s2", "accuracy"]
    assert ("f100", "accuracy") not in alone


def test_groups_are_drawn_whole(tmp_path: Path) -> None:
    # Eight copies of every answer carry no more information than one, given their groups.
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(3, size=60), rng.integers(3, size=60)

    def columns(copies: int, grouped: bool) -> dict[str, list[Any]]:
        size = 60 * copies
        return {
            "example_id": [f"e{i}" for i in range(size)],
            "group_id": [f"g{i % 60}" if grouped else f"g{i}" for i in range(size)],
            "label": [CLASSES[c] for c in np.tile(labels, copies)],
            "predicted": [CLASSES[c] for c in np.tile(predicted, copies)],
        }

    widths = {}
    for copies, grouped in ((1, True), (8, True), (8, False)):
        path = write(tmp_path / "x.parquet", columns(copies, grouped), "nli", "f10-s1")
        row = scores([path])["f10-s1", "accuracy"]
        widths[copies, grouped] = row["high"] - row["low"]
    assert widths[8, True] == pytest.approx(widths[1, True])
    assert widths[8, False] < 0.6 * widths[1, True]


def test_perfect_and_hopeless_predictions_have_no_width(tmp_path: Path) -> None:
    for right in (1.0, 0.0):
        row = scores([write_nli(tmp_path, "f10-s1", right, 1)])["f10-s1", "accuracy"]
        assert (row["value"], row["low"], row["high"]) == (right, right, right)


def ner_columns(seed: int) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)
    return {
        "example_id": [f"s{i // 10}" for i in range(600)],
        "word_index": [i % 10 for i in range(600)],
        "label": [TAGS[c] for c in np.random.default_rng(0).choice(5, 600)],
        "predicted": [TAGS[c] for c in rng.choice(5, 600)],
    }


def test_ner_entity_f1_and_confusion_of_types(tmp_path: Path) -> None:
    columns = ner_columns(1)
    columns["predicted"][:300] = columns["label"][:300]
    path = write(tmp_path / "x.parquet", columns, "ner", "f10-s1")
    result = score([read_predictions(path)], SETTINGS)
    found = {row["metric"]: row for row in result["scores"]}
    sentences = [
        [columns[name][i : i + 10] for i in range(0, 600, 10)] for name in ("label", "predicted")
    ]
    assert found["entity_f1"]["value"] == pytest.approx(seqeval_f1(*sentences))
    assert found["entity_f1"]["low"] < found["entity_f1"]["value"] < found["entity_f1"]["high"]
    assert set(found) == {"entity_f1", "token_macro_f1"}
    names = ["DNA", "RNA", "O"]
    merged = [[tag.split("-")[-1] for tag in columns[c]] for c in ("label", "predicted")]
    cells = [[row["label"], row["predicted"], row["count"]] for row in result["confusion"]]
    expected = confusion_matrix(*merged, labels=names)
    assert cells == [
        [a, b, expected[i, j]] for i, a in enumerate(names) for j, b in enumerate(names)
    ]


def test_confusions_of_many_labels_have_few_rows() -> None:
    """Of pairs those that occur, and each label with itself, in the order of the labels."""
    names = [f"label-{number}" for number in range(5000)]
    columns = {
        "label": ["label-7", "label-7", "label-3"],
        "predicted": ["label-2", "label-2", "label-3"],
    }
    described = {"labels": names, "kind_of_task": "nli", "variant": "f10-s1"}
    found = confusion(Predictions(Path(), described, 10, 1, columns))
    assert len(found) == 5001
    counted = [(row["label"], row["predicted"], row["count"]) for row in found if row["count"]]
    assert counted == [("label-3", "label-3", 1), ("label-7", "label-2", 2)]
    assert list(dict.fromkeys(row["label"] for row in found)) == names


def test_files_must_belong_together(tmp_path: Path) -> None:
    first = write_nli(tmp_path, "f10-s1", 0.5, 1)
    shorter = write_nli(tmp_path, "f10-s2", 0.5, 1, size=40)
    with pytest.raises(UserError, match="column 'example_id' differs"):
        scores([first, shorter])
    with pytest.raises(UserError, match="'f10-s1' twice"):
        scores([first, first])
    other = write(tmp_path / "ner.parquet", ner_columns(1), "ner", "f10-s2")
    with pytest.raises(UserError, match="kind_of_task 'ner'; allowed: 'nli'"):
        scores([first, other])


def test_an_untrained_head_is_never_scored(tmp_path: Path) -> None:
    path = write_nli(tmp_path, "pretrained", 0.3, 1)
    with pytest.raises(UserError, match="variant 'pretrained'; allowed: a fine-tuned one"):
        read_predictions(path)


def test_program_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    paths = [write_nli(tmp_path, f"f10-s{seed}", 0.6, seed) for seed in (1, 2)]
    texts = []
    for name in ("a.json", "b.json"):
        out = tmp_path / name
        settings = ("--settings", '{"resamples": 100}')
        done = run_program(PROGRAM, *settings, "--predictions", *paths, "--out", out)
        assert done.returncode == 0, done.stderr
        texts.append(out.read_bytes())
    assert texts[0] == texts[1]
    content = json.loads(texts[0])
    assert (content["task"], content["model"], content["kind"]) == ("t", "m", "nli")
    assert len(content["scores"]) == 6
    assert set(content["confusion"][0]) == {
        "variant", "percent", "seed", "label", "predicted", "count",
    }  # fmt: skip
