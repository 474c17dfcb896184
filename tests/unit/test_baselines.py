"""Baselines on data with and without something to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import baseline
from layerscope.core.errors import UserError
from layerscope.core.formats import file_metadata, read_table, write_table
from layerscope.core.measures import BASELINES_OF_KIND
from layerscope.evaluation.baselines import predict_baseline, word_features
from layerscope.statistics import metrics

CLASSES = ["entailment", "neutral", "contradiction"]
TAGS = ["O", "B-DNA", "I-DNA"]


def pairs(seed: int, informative: str) -> pa.Table:
    """Pairs in which one column has a word that tells the class; the rest is noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=150)

    def text(column: str, label: int) -> str:
        words = [f"noise{i}" for i in rng.integers(30, size=6)]
        return " ".join([*words, f"cue{label}"] if column in informative else words)

    return pa.table(
        {
            "example_id": [f"e{i}" for i in range(150)],
            "group_id": [f"g{i // 2}" for i in range(150)],
            "premise": [text("premise", label) for label in labels],
            "hypothesis": [text("hypothesis", label) for label in labels],
            "label": [CLASSES[label] for label in labels],
        }
    )


def sentences(seed: int) -> pa.Table:
    """Entities `gene X`, where X may be any word, so that only the neighbour tells."""
    rng = np.random.default_rng(seed)
    tokens, tags = [], []
    for _ in range(60):
        words = [f"w{i}" for i in rng.integers(40, size=8)]
        marks = ["O"] * 8
        place = int(rng.integers(0, 7))
        words[place], marks[place], marks[place + 1] = "Gene", "B-DNA", "I-DNA"
        tokens.append(words)
        tags.append(marks)
    ids = [f"s{i}" for i in range(60)]
    return pa.table({"example_id": ids, "group_id": ids, "tokens": tokens, "tags": tags})


def accuracy(name: str, informative: str) -> float:
    columns = predict_baseline(name, pairs(0, informative), pairs(1, informative), "nli", CLASSES)
    return float(np.mean(np.asarray(columns["predicted"]) == np.asarray(columns["label"])))


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("bag-of-words", {"premise", "hypothesis"}),
        ("premise-only", {"premise"}),
        ("hypothesis-only", {"hypothesis"}),
        ("majority", set()),
    ],
)
@pytest.mark.parametrize("informative", ["premise", "hypothesis"])
def test_each_nli_baseline_reads_its_own_texts_alone(
    name: str, reads: set[str], informative: str
) -> None:
    value = accuracy(name, informative)
    if informative in reads:
        assert value > 0.9
    else:
        assert value < 0.5


def test_premise_and_hypothesis_have_features_of_their_own() -> None:
    # The same word means the opposite in the other column.
    label = [i % 2 for i in range(40)]
    texts = {"premise": ["up" if c else "down" for c in label],
             "hypothesis": ["down" if c else "up" for c in label]}  # fmt: skip
    ids = [str(i) for i in range(40)]
    table = pa.table(
        {"example_id": ids, "group_id": ids, **texts, "label": [CLASSES[c] for c in label]}
    )
    columns = predict_baseline("bag-of-words", table, table, "nli", CLASSES)
    assert columns["predicted"] == columns["label"]


def test_a_text_has_a_bag_of_words_as_scikit_learn_makes_it() -> None:
    """And a majority, and no halves."""
    made = [pairs(seed, "premise") for seed in (0, 1)]
    train, test = (
        table.drop_columns("hypothesis").rename_columns({"premise": "text"}) for table in made
    )
    found = {
        name: predict_baseline(name, train, test, "classification", CLASSES)
        for name in BASELINES_OF_KIND["classification"]
    }
    assert list(found) == ["majority", "bag-of-words"]
    codes = [CLASSES.index(label) for label in train["label"].to_pylist()]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    expected = pipeline.fit(train["text"].to_pylist(), codes).predict_proba(
        test["text"].to_pylist()
    )
    np.testing.assert_allclose(found["bag-of-words"]["probabilities"], expected, atol=1e-6)
    assert found["bag-of-words"]["label"] == test["label"].to_pylist()
    with pytest.raises(UserError, match=r"'premise-only' .*'classification'; allowed: majority"):
        predict_baseline("premise-only", train, test, "classification", CLASSES)


def test_majority_gives_the_shares_of_the_training_labels() -> None:
    train = pairs(0, "")
    columns = predict_baseline("majority", train, pairs(1, ""), "nli", CLASSES)
    labels = train.column("label").to_pylist()
    shares = [labels.count(name) / len(labels) for name in CLASSES]
    assert set(columns["predicted"]) == {CLASSES[int(np.argmax(shares))]}
    np.testing.assert_allclose(columns["probabilities"][0], shares, rtol=1e-6)


def test_ner_bag_of_words_beats_majority_and_majority_is_o() -> None:
    train, test = sentences(0), sentences(1)
    scores = {}
    for name in BASELINES_OF_KIND["ner"]:
        columns = predict_baseline(name, train, test, "ner", TAGS)
        assert columns["example_id"] == [f"s{i // 8}" for i in range(480)]
        assert columns["word_index"] == list(range(8)) * 60
        assert columns["label"] == [tag for row in test.column("tags").to_pylist() for tag in row]
        counts = metrics.ner_metrics(
            columns["label"], columns["predicted"], columns["example_id"], TAGS
        )
        scores[name] = metrics.values(counts)["entity_f1"]
        if name == "majority":
            assert set(columns["predicted"]) == {"O"}
    assert scores["majority"] == 0
    assert scores["bag-of-words"] > 0.9


def test_probabilities_follow_the_label_names_and_name_the_prediction() -> None:
    train = pairs(0, "premise")
    train = train.filter(pa.array([label != "neutral" for label in train["label"].to_pylist()]))
    columns = predict_baseline("bag-of-words", train, pairs(1, "premise"), "nli", CLASSES)
    probabilities = np.asarray(columns["probabilities"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities[:, CLASSES.index("neutral")] == 0).all()
    assert [CLASSES[i] for i in probabilities.argmax(axis=1)] == columns["predicted"]


def test_features_of_words_stop_at_the_sentence() -> None:
    assert word_features([["IL-2", "Gene"], ["x"]]) == [
        ("<", "=il-2", ">gene"),
        ("<il-2", "=gene", ">"),
        ("<", "=x", ">"),
    ]


def test_texts_without_a_word_of_two_letters_have_no_features() -> None:
    """Neither a column of such texts nor a task of them ends the baselines."""
    short = pa.array([["a b", "c"][row % 2] for row in range(150)])
    train, test = pairs(0, "hypothesis"), pairs(1, "hypothesis")
    halves = [table.set_column(2, "premise", short) for table in (train, test)]
    found = predict_baseline("bag-of-words", *halves, "nli", CLASSES)
    assert (
        found["predicted"]
        == predict_baseline("hypothesis-only", train, test, "nli", CLASSES)["predicted"]
    )
    without = predict_baseline("premise-only", *halves, "nli", CLASSES)
    assert without == predict_baseline("majority", *halves, "nli", CLASSES)


def test_a_sample_with_one_label_predicts_it() -> None:
    train = pairs(0, "")
    train = train.filter(pa.array([label == "neutral" for label in train["label"].to_pylist()]))
    columns = predict_baseline("bag-of-words", train, pairs(1, ""), "nli", CLASSES)
    assert set(columns["predicted"]) == {"neutral"}


def test_program_writes_a_file_a_baseline_as_a_model_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pairs(0, "premise")
    for split in ("train", "test"):
        write_table(tmp_path / split, "nli", table.to_pydict(), {"labels": CLASSES})
    write_table(tmp_path / "sample", "sample", {"example_id": [f"e{i}" for i in range(90)]})
    arguments = ["--task", "t", "--kind", "nli", "--percent", "60", "--seed", "3"]
    for name in ("train", "sample", "test"):
        arguments += [f"--{name}", str(tmp_path / name)]
    for name in BASELINES_OF_KIND["nli"]:
        arguments += ["--baseline", f"{name}={tmp_path / name}"]
    monkeypatch.setattr("sys.argv", ["baseline.py", *arguments])
    baseline.main()
    sample = table.slice(0, 90)
    for name in BASELINES_OF_KIND["nli"]:
        described = file_metadata(tmp_path / name, "predictions")
        assert described["labels"] == CLASSES
        keys = ("task", "model", "variant", "kind_of_task")
        assert [described[key] for key in keys] == ["t", name, "f60-s3", "nli"]
        expected = predict_baseline(name, sample, table, "nli", CLASSES)
        assert read_table(tmp_path / name, "predictions").to_pydict() == expected


def test_mistakes_are_named() -> None:
    table = sentences(0)
    with pytest.raises(UserError, match=r"'premise-only' .*'ner'; allowed: majority, bag-of-words"):
        predict_baseline("premise-only", table, table, "ner", TAGS)
    with pytest.raises(UserError, match="no training rows"):
        predict_baseline("majority", table.slice(0, 0), table, "ner", TAGS)
    with pytest.raises(UserError, match="'B-DNA'; allowed: O"):
        predict_baseline("majority", table, table, "ner", ["O"])
