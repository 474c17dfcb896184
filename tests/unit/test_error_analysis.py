"""Calibration, classes, novelty: closed forms, scikit-learn, seqeval and planted models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from seqeval.metrics import classification_report
from sklearn.metrics import brier_score_loss, f1_score
from synthetic_tables import run_program
from test_scoring import CLASSES, SETTINGS, TAGS, write

from layerscope.core.errors import UserError
from layerscope.core.formats import read_table, write_table
from layerscope.evaluation import calibration
from layerscope.evaluation.error_analysis import evaluation_rows, measures, novelty_counts, surfaces
from layerscope.evaluation.prediction_files import read_predictions
from layerscope.statistics import metrics
from layerscope.statistics.crossed import crossed_mean
from layerscope.statistics.inference import bootstrap_counts

Row = dict[str, Any]
RNG = np.random.default_rng
#: Words of test and training sentences, by type of entity.
KNOWN = {"DNA": ["Gata1 gene", "p53"], "RNA": ["mRNA x"]}
NEW = {"DNA": ["q9 locus"], "RNA": ["mRNA y", "siRNA"]}


def summed(confidence: Any, right: Any) -> Any:
    counts = calibration.bin_counts(np.asarray(confidence, float), np.asarray(right, bool))
    return counts.sum(axis=0)


def test_always_sure_and_half_right_is_half_off() -> None:
    right = np.arange(100) % 2 == 0
    assert calibration.ece_of(summed(np.ones(100), right)) == pytest.approx(0.5)
    assert calibration.ece_of(summed(np.ones(100), np.ones(100))) == 0
    assert calibration.ece_of(summed(np.full(100, 0.7), np.arange(100) < 40)) == pytest.approx(0.3)


def test_a_calibrated_model_has_the_error_that_noise_alone_gives() -> None:
    rng = RNG(0)
    confidence = rng.uniform(0.3, 1, size=(200, 3000))
    right = rng.random(confidence.shape) < confidence
    found = [summed(c, r) for c, r in zip(confidence, right, strict=True)]
    errors = [float(calibration.ece_of(each)) for each in found]
    expected = [float(calibration.calibrated_ece_of(each)) for each in found]
    assert np.mean(errors) < 0.03
    assert np.mean(expected) == pytest.approx(np.mean(errors), rel=0.05)
    over = summed(confidence[0], rng.random(3000) < confidence[0] ** 2)
    assert calibration.ece_of(over) > 4 * expected[0]


def test_ece_is_its_definition_bin_by_bin() -> None:
    rng = RNG(1)
    confidence, right = rng.random(500), rng.random(500) < 0.6
    error = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration.ece_of(summed(confidence, right)) == pytest.approx(error)


def test_confidences_at_the_ends_of_bins_fall_into_the_lower_one() -> None:
    ends = np.asarray([0, 1e-9, 1 / 15, 1 / 15 + 1e-9, 0.5, 1])
    assert calibration.bin_of(ends).tolist() == [0, 0, 0, 1, 7, 14]


def nli(folder: Path, variant: str, seed: int, size: int = 300) -> Path:
    """Predictions drawn from probabilities; the labels are those of every file."""
    labels = RNG(0).integers(3, size=size)
    rng = RNG(seed)
    logits = rng.normal(size=(size, 3)) + 1.5 * (np.arange(3) == labels[:, None])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns: dict[str, Any] = {
        "example_id": [f"e{i}" for i in range(size)],
        "group_id": [f"g{i // 2}" for i in range(size)],
        "label": [CLASSES[c] for c in labels],
        "predicted": [CLASSES[c] for c in probabilities.argmax(axis=1)],
        "probabilities": probabilities.astype(np.float32).tolist(),
    }
    return write(folder / f"{variant}.parquet", columns, "nli", variant)


def pick(rows: list[Row], variant: str) -> dict[Any, Row]:
    return {
        (row["measure"], row["bin"] if row["label"] is None else row["label"]): row
        for row in rows
        if row["variant"] == variant
    }


def test_nli_is_that_of_reference_libraries(tmp_path: Path) -> None:
    file = read_predictions(nli(tmp_path, "f100-s1", 3))
    found = pick(evaluation_rows([file], SETTINGS), "f100-s1")
    labels, predicted = (file.columns[key] for key in ("label", "predicted"))
    each = f1_score(labels, predicted, labels=CLASSES, average=None)
    for name, value in zip(CLASSES, each, strict=True):
        row = found["f1", name]
        assert row["value"] == pytest.approx(value)
        assert row["low"] < row["value"] < row["high"]
        assert row["n"] == labels.count(name)
    table = read_table(file.path, "predictions")
    probabilities = np.asarray(table["probabilities"].to_pylist())
    truth = np.asarray([[label == name for name in CLASSES] for label in labels], float)
    brier = found["brier", None]["value"]
    assert brier == pytest.approx(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))
    order = sorted(range(3), key=CLASSES.__getitem__)  # scikit-learn takes labels sorted
    scaled = probabilities / probabilities.sum(axis=1, keepdims=True)
    assert brier == pytest.approx(
        brier_score_loss(labels, scaled[:, order], labels=sorted(CLASSES), scale_by_half=False),
        rel=1e-5,
    )
    counts = [row["n"] for (measure, _), row in found.items() if measure == "bin_accuracy"]
    assert sum(counts) == len(labels)
    error = sum(
        row["n"] / len(labels) * abs(row["value"] - found["bin_confidence", place]["value"])
        for (measure, place), row in found.items()
        if measure == "bin_accuracy"
    )
    assert found["ece", None]["value"] == pytest.approx(error)


def test_seeds_have_a_mean_whose_interval_is_that_of_scores(tmp_path: Path) -> None:
    paths = [nli(tmp_path, f"f{percent}-s{seed}", 10 * percent + seed)
             for percent in (10, 100) for seed in (1, 2)]  # fmt: skip
    files = [read_predictions(path) for path in paths]
    rows = evaluation_rows(files, SETTINGS)
    assert list(dict.fromkeys(row["variant"] for row in rows)) == [
        "f10-s1", "f10-s2", "f100-s1", "f100-s2", "f10", "f100",
    ]  # fmt: skip
    for name, variants, members in (("f100", ("f100-s1", "f100-s2"), files[2:]),
                                    ("f10-s1", ("f10-s1",), files[:1])):  # fmt: skip
        found = pick(rows, name)["ece", None]
        own = [pick(rows, variant)["ece", None]["value"] for variant in variants]
        assert found["value"] == pytest.approx(np.mean(own))
        counts = [next(m for m in measures(file) if m.name == "ece").counts for file in members]
        if len(counts) > 1:
            expected = crossed_mean(counts, calibration.ece_of, SETTINGS.confidence)
        else:
            expected = bootstrap_counts(
                counts, calibration.ece_of, SETTINGS.resamples, SETTINGS.confidence,
                RNG(SETTINGS.seed),
            )  # fmt: skip
        assert (found["value"], found["low"], found["high"]) == pytest.approx(expected)
    assert (
        pick(rows, "f100")["f1", "neutral"]["n"] == 2 * pick(rows, "f100-s1")["f1", "neutral"]["n"]
    )


def sentences(
    seed: int, size: int = 80, new: bool = True
) -> tuple[list[list[str]], list[list[str]]]:
    """Sentences of one entity each; names of `NEW` only if `new`, in any case of letters."""
    rng = RNG(seed)
    tokens, tags = [], []
    for _ in range(size):
        kind = str(rng.choice(["DNA", "RNA"]))
        names = KNOWN[kind] + (NEW[kind] if new else [])
        words = str(rng.choice(names)).split()
        words = [w.upper() if rng.random() < 0.5 else w for w in words]
        tokens.append(["the", *words, "is", "here"])
        tags.append(["O", f"B-{kind}", *[f"I-{kind}"] * (len(words) - 1), "O", "O"])
    return tokens, tags


def ner(path: Path, tokens: Any, tags: Any, predicted: Any, variant: str = "f100-s1") -> Path:
    answers = [tag for own in predicted for tag in own]
    columns: dict[str, Any] = {
        "example_id": [f"e{i}" for i, own in enumerate(tags) for _ in own],
        "group_id": [f"g{i // 2}" for i, own in enumerate(tags) for _ in own],
        "word_index": [word for own in tags for word in range(len(own))],
        "label": [tag for own in tags for tag in own],
        "predicted": answers,
        "probabilities": [[0.9 if tag == name else 0.025 for name in TAGS] for tag in answers],
    }
    return write(path, columns, "ner", variant)


def noisy(tags: list[list[str]], seed: int) -> list[list[str]]:
    rng = RNG(seed)
    return [[str(rng.choice(TAGS)) if rng.random() < 0.2 else t for t in own] for own in tags]


def test_types_are_those_of_seqeval_and_novelty_splits_their_counts(tmp_path: Path) -> None:
    tokens, tags = sentences(1)
    predicted = noisy(tags, 2)
    file = read_predictions(ner(tmp_path / "f100-s1.parquet", tokens, tags, predicted))
    test, train = (
        pa.table({"tokens": t, "tags": g}) for t, g in ((tokens, tags), sentences(9, new=False))
    )
    found = pick(evaluation_rows([file], SETTINGS, test, lambda variant: train), "f100-s1")
    report = classification_report(tags, predicted, output_dict=True, zero_division=0)
    for kind in ("DNA", "RNA"):
        assert found["f1", kind]["value"] == pytest.approx(report[kind]["f1-score"])
        assert found["f1", kind]["n"] == report[kind]["support"]
    known = surfaces(train["tokens"].to_pylist(), train["tags"].to_pylist())
    split = novelty_counts(tokens, tags, predicted, known).sum(axis=0)
    whole = metrics.entity_counts(
        *(file.columns[key] for key in ("label", "predicted", "example_id")), ["DNA", "RNA"]
    )
    assert (split[:3] + split[3:]).tolist() == whole.sum(axis=0).reshape(3, 2).sum(axis=1).tolist()
    assert min(split[0], split[3]) > 5
    new = sum(
        words[1].lower() in ("q9", "sirna") or "y" in map(str.lower, words) for words in tokens
    )
    assert found["recall_unseen", None]["n"] == new
    assert found["recall_seen", None]["n"] == len(tokens) - new


def memorised(tokens: list[list[str]], known: set[tuple[str, ...]]) -> list[list[str]]:
    """Marks every known surface, wherever it stands, and guesses DNA for `sirna`."""
    found = []
    for words in tokens:
        own = ["O"] * len(words)
        for kind, *name in known:
            for at in range(len(words) - len(name) + 1):
                if [word.lower() for word in words[at : at + len(name)]] == name:
                    own[at : at + len(name)] = [f"B-{kind}", *[f"I-{kind}"] * (len(name) - 1)]
        found.append(
            ["B-DNA" if w.lower() == "sirna" else t for w, t in zip(words, own, strict=True)]
        )
    return found


def test_a_model_that_only_memorises_finds_all_that_is_seen_and_nothing_else(
    tmp_path: Path,
) -> None:
    """The whole program; what counts is the variant's sample, not all training data."""
    tokens, tags = sentences(3)
    train = [[*a, *b] for a, b in zip(sentences(4, new=False), sentences(5), strict=True)]
    ids = [f"t{i}" for i in range(len(train[0]))]
    for name, (words, own), keys in (
        ("test", (tokens, tags), [f"e{i}" for i in range(len(tokens))]),
        ("train", train, ids),
    ):
        columns = {"example_id": keys, "group_id": keys, "tokens": words, "tags": own}
        write_table(tmp_path / f"{name}.parquet", "ner", columns)
    known = surfaces(train[0][:80], train[1][:80])
    predictions, samples = tmp_path / "predictions", tmp_path / "samples"
    for variant, kept in (("f50-s1", ids[:80]), ("f100-s1", ids)):
        answers = memorised(tokens, known)
        ner(predictions / f"{variant}.parquet", tokens, tags, answers, variant)
        write_table(samples / f"{variant}.parquet", "sample", {"example_id": kept})
    out = tmp_path / "out.parquet"
    run = [
        "make_table", "evaluation.error_analysis", *sorted(predictions.iterdir()),
        "--settings", SETTINGS.model_dump_json(), "--out", f"error_analysis={out}",
        "--inputs", *(f"{name}={tmp_path / name}.parquet" for name in ("test", "train")),
    ]  # fmt: skip
    run_program(*run, *(f"samples={path}" for path in sorted(samples.iterdir())))
    rows = read_table(out, "error_analysis-table").to_pylist()
    half, all_seen = pick(rows, "f50-s1"), pick(rows, "f100-s1")
    for measure in ("f1", "recall"):
        assert half[f"{measure}_seen", None]["value"] == 1
        assert half[f"{measure}_unseen", None]["value"] == 0
    gap = half["f1_gap", None]
    assert (gap["value"], gap["low"], gap["high"]) == (1, 1, 1)
    assert half["recall_unseen", None]["n"] > 10
    # With the whole of the training data every name is seen, and there is nothing unseen to find.
    assert all_seen["recall_seen", None]["value"] < 1
    assert all_seen["recall_unseen", None]["value"] is None
    assert all_seen["f1_unseen", None]["value"] is None
    assert all_seen["f1_gap", None]["value"] is None
    with pytest.raises(UserError, match=r"sample of variant 'f50-s1'; allowed: all three"):
        run_program(*run, f"samples={samples / 'f100-s1.parquet'}")


def test_a_model_that_does_not_look_at_words_has_no_gap(tmp_path: Path) -> None:
    tokens, tags = sentences(6, size=400)
    rng = RNG(7)
    answers = [own if rng.random() < 0.6 else ["O"] * len(own) for own in tags]
    file = read_predictions(ner(tmp_path / "f100-s1.parquet", tokens, tags, answers))
    test, train = (
        pa.table({"tokens": t, "tags": g}) for t, g in ((tokens, tags), sentences(8, new=False))
    )
    gap = pick(evaluation_rows([file], SETTINGS, test, lambda variant: train), "f100-s1")[
        "f1_gap", None
    ]
    assert gap["low"] < 0 < gap["high"]


@pytest.mark.parametrize("bad", [[0.5, 0.5], [0.9, 0.9, 0.9], [float("nan"), 0.5, 0.5], None])
def test_probabilities_that_are_none_are_one_line(tmp_path: Path, bad: Any) -> None:
    path = nli(tmp_path, "f100-s1", 0, size=6)
    table = read_table(path, "predictions").to_pydict()
    table["probabilities"][4] = bad
    file = read_predictions(write(path, table, "nli", "f100-s1"))
    with pytest.raises(UserError, match=r"example 'e4', word 0; allowed: 3 from 0 to 1 that sum"):
        evaluation_rows([file], SETTINGS)


def test_other_test_data_are_refused(tmp_path: Path) -> None:
    tokens, tags = sentences(1)
    file = read_predictions(ner(tmp_path / "f100-s1.parquet", tokens, tags, tags))
    other = pa.table({"tokens": tokens[1:], "tags": tags[1:]})
    with pytest.raises(UserError, match="other words than the test data"):
        evaluation_rows([file], SETTINGS, other, lambda variant: other)


def test_a_type_that_is_nowhere_has_no_f1(tmp_path: Path) -> None:
    tags = [["O", "B-DNA"]] * 4
    file = read_predictions(ner(tmp_path / "f100-s1.parquet", None, tags, tags))
    found = pick(evaluation_rows([file], SETTINGS), "f100-s1")
    assert found["f1", "DNA"]["value"] == 1
    assert (found["f1", "RNA"]["value"], found["f1", "RNA"]["low"]) == (None, None)
